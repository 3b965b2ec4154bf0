FROM registry.test/busybox:1
ARG A=1 B=$A
RUN echo A=$A B=$B
