FROM registry.test/busybox:1 AS
# expect: error
