FROM --platform=$TARGETPLATFORM registry.test/busybox:1
RUN true
