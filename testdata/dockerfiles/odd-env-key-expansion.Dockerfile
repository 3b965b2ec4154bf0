FROM registry.test/busybox:1
ARG K=V
ENV $K=1
RUN echo v$V
