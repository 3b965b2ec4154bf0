FROM registry.test/busybox:1 AS first
RUN echo 1 > /a
FROM first AS second
RUN echo 2 > /b
FROM second
RUN false
# options: --target Second
