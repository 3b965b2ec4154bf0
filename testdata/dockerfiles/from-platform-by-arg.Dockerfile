ARG P=linux/amd64
FROM --platform=$P registry.test/busybox:1 AS a
RUN echo 1 > /a
FROM registry.test/busybox:1
COPY --from=a /a /
