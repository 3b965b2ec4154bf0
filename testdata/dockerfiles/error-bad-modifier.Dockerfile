FROM registry.test/busybox:1
ENV A=${B^^}
# expect: error
