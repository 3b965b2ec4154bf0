FROM registry.test/busybox:1
RUN --mount=type=cache,target=/var/cache/x true
