FROM registry.test/busybox:1
RUN --network=nope true
# expect: error
