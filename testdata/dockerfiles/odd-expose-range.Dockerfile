FROM registry.test/busybox:1
EXPOSE 80-90/tcp
