FROM registry.test/busybox:1
CMD []
ENTRYPOINT []
