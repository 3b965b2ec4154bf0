FROM registry.test/busybox:1
RUN echo 0 > /a
FROM registry.test/busybox:1
COPY --from=0 /a /
