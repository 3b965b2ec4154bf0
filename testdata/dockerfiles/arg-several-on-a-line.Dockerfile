FROM registry.test/busybox:1
ARG A=1 B=2 C
RUN echo A=$A B=$B C=$C
# options: --build-arg C=3
