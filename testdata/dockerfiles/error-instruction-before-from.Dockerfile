RUN true
FROM registry.test/busybox:1
# expect: error
