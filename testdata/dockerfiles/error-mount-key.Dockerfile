FROM registry.test/busybox:1
RUN --mount=type=cache,taget=/x true
# expect: error
