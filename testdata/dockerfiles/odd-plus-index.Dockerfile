FROM registry.test/busybox:1
RUN echo > /a
FROM registry.test/busybox:1
COPY --from=+0 /a /x
