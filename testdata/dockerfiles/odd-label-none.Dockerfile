FROM registry.test/busybox:1
LABEL a
# expect: error
