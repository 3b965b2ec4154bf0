FROM registry.test/busybox:1
HEALTHCHECK --interval=abc CMD true
# expect: error
