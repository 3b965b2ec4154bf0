FROM registry.test/busybox:1 AS Tools
RUN echo > /a
FROM registry.test/busybox:1
COPY --from=TOOLS /a /b
