FROM registry.test/busybox:1
ENV A=${:x}
# expect: error
