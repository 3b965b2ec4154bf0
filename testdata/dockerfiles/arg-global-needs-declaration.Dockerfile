ARG V=1
FROM registry.test/busybox:1
RUN echo a${V}b
ARG V
RUN echo V=$V
