FROM registry.test/busybox:1 AS never
RUN false
FROM registry.test/busybox:1
RUN true
