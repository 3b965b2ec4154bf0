FROM registry.test/busybox:1
RUN --mount=type=cache true
# expect: error
