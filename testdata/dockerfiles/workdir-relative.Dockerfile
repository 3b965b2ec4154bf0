FROM registry.test/busybox:1
WORKDIR /a
WORKDIR b
RUN pwd
