FROM registry.test/busybox:1 AS scratch
RUN echo 1 > /a
FROM scratch
RUN true
