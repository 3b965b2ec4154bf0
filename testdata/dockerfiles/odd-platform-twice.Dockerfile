FROM --platform=linux/amd64 --platform=linux/arm64 registry.test/busybox:1
RUN true
# expect: error
