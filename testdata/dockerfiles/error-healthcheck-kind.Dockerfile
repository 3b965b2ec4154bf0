FROM registry.test/busybox:1
HEALTHCHECK TRUE
# expect: error
