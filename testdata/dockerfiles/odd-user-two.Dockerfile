FROM registry.test/busybox:1
USER a b
