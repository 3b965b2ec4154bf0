FROM registry.test/busybox:1 AS src
RUN echo s > /s
FROM registry.test/busybox:1 AS base
ONBUILD COPY --from=src /s /s
FROM base
RUN cat /s
