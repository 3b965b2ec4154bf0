FROM registry.test/busybox:1
ARG A=${B:-${C:-d}}
RUN echo A=$A
