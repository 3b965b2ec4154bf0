FROM --platform=$BUILDPLATFORM registry.test/busybox:1 AS b
ARG TARGETARCH
RUN echo TARGETARCH=$TARGETARCH > /a
FROM scratch
COPY --from=b /a /a
