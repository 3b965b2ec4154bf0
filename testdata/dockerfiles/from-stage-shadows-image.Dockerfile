FROM registry.test/busybox:1 AS alpine
RUN echo 1 > /a
FROM alpine
RUN echo 2 > /b
