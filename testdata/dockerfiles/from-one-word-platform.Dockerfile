FROM --platform=amd64 registry.test/busybox:1 AS a
RUN echo 1 > /a
FROM --platform=linux registry.test/busybox:1 AS b
RUN echo 2 > /b
FROM registry.test/busybox:1
COPY --from=a /a /
COPY --from=b /b /
