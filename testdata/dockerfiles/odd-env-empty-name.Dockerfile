FROM registry.test/busybox:1
ENV =x
# expect: error
