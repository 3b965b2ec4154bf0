FROM --platform=linux/arm64 registry.test/busybox:1 AS a
RUN echo a > /a
FROM --platform=linux/amd64 registry.test/busybox:1 AS b
RUN echo b > /b
FROM registry.test/busybox:1
COPY --from=a /a /
COPY --from=b /b /
