FROM registry.test/busybox:1
HEALTHCHECK NONE x
# expect: error
