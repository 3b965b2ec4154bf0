FROM registry.test/busybox:1
SHELL ["/bin/sh", "-ec"]
RUN true
