FROM registry.test/busybox:1
ARG =1
# expect: error
