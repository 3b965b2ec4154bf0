FROM registry.test/busybox:1
RNU true
# expect: error
