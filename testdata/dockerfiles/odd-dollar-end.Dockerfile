FROM registry.test/busybox:1
ENV A=x$
RUN true
