FROM registry.test/busybox:1
SHELL /bin/sh -c
# expect: error
