FROM registry.test/busybox:1
RUN echo tool-linux-amd64
