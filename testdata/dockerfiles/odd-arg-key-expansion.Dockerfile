FROM registry.test/busybox:1
ARG K=V
ARG $K=1
RUN echo V=$V
