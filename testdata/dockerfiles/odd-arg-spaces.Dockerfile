FROM registry.test/busybox:1
ARG A = 1
RUN echo A=$A
# expect: error
