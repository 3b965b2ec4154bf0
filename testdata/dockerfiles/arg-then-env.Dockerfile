FROM registry.test/busybox:1
ARG V=1
ENV V=2
RUN echo v=$V
