FROM registry.test/busybox:1
HEALTHCHECK --interval=1us CMD true
# expect: error
