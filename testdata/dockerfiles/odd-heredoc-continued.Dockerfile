FROM registry.test/busybox:1
RUN <<A cat && \
 cat <<B
a
A
b
B
