FROM registry.test/busybox:1 AS é
RUN true
# expect: error
