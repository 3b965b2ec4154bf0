FROM registry.test/busybox:1
ARG A=1
ARG B=${A}-x
RUN echo A=$A B=$B
