FROM registry.test/busybox:1 AS base-amd64
RUN echo amd64 > /a
FROM registry.test/busybox:1 AS base-arm64
RUN echo arm64 > /a
FROM base-${TARGETARCH}
RUN cat /a
