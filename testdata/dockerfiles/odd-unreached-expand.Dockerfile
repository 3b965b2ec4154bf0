FROM registry.test/busybox:1 AS a
ENV A=${:x}
FROM registry.test/busybox:1
RUN true
