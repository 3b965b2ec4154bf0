FROM --platform=a/b/c/d registry.test/busybox:1 AS a
FROM registry.test/busybox:1
RUN true
# expect: error
