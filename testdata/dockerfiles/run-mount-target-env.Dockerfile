FROM registry.test/busybox:1
ARG M=/m
RUN --mount=type=cache,target=$M true
