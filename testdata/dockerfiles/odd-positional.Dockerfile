FROM registry.test/busybox:1
ENV A=$1b
RUN true
