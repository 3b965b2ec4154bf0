FROM registry.test/busybox:1
ENV A
# expect: error
