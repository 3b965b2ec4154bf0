FROM registry.test/busybox:1 AS a
RUN --mount=type=nope true
FROM registry.test/busybox:1
RUN true
