FROM --platform=$BUILDPLATFORM registry.test/busybox:1
RUN true
