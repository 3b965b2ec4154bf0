FROM --platform=linux/aarch64 registry.test/busybox:1 AS a
RUN echo 1 > /a
FROM --platform=Linux/x86_64 registry.test/busybox:1 AS b
RUN echo 2 > /b
FROM scratch
COPY --from=a /a /
COPY --from=b /b /
