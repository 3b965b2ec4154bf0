ARG V=1
FROM registry.test/busybox:1
ARG V=2
RUN echo V=$V
