FROM registry.test/busybox:1 AS x
RUN echo 1 > /a
FROM registry.test/busybox:1 AS x
RUN echo 2 > /a
FROM registry.test/busybox:1
COPY --from=x /a /
