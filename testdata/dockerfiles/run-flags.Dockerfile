FROM registry.test/busybox:1
RUN --network=none true
RUN --network=default --mount=type=tmpfs,target=/t true
