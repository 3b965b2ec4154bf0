FROM registry.test/busybox:1 AS a
RUN echo 1 > /a
FROM --platform=linux/amd64 a AS b
RUN echo 2 > /b
FROM registry.test/busybox:1
COPY --from=b /b /
