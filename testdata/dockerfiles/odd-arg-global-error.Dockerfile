ARG A=${:x}
FROM registry.test/busybox:1
# expect: error
