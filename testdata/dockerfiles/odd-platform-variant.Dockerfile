FROM --platform=linux/arm64/v8 registry.test/busybox:1
RUN true
