FROM registry.test/busybox:1
RUN --mount=type=bind true
# expect: error
