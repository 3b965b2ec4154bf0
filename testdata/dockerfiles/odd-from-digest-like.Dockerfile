FROM registry.test/busybox:1@sha256:00
RUN true
# expect: error
