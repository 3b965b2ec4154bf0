FROM registry.test/busybox:${TAG:-1}
RUN true
