FROM registry.test/busybox:1 AS a
COPY --from=b /x /
FROM registry.test/busybox:1 AS b
RUN true
FROM registry.test/busybox:1
RUN true
