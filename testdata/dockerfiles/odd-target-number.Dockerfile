FROM registry.test/busybox:1 AS a
RUN true
FROM registry.test/busybox:1
RUN false
# options: --target 0
# expect: error
