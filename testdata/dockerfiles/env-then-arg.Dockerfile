FROM registry.test/busybox:1
ENV V=1
ARG V=2
RUN echo V=$V
