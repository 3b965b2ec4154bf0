FROM registry.test/busybox:1
ENV A=1 B
# expect: error
