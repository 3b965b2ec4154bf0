FROM registry.test/busybox:1
ARG V=1
RUN echo V=$V
# options: --build-arg V=2
