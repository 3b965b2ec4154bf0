FROM registry.test/busybox:1
ONBUILD NOPE x
