FROM registry.test/busybox:1 AS 1st
# expect: error
