FROM registry.test/busybox:1
ARG TARGETARCH
RUN echo TARGETARCH=$TARGETARCH
# options: --build-arg TARGETARCH=mine
