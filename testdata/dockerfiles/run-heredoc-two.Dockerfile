FROM registry.test/busybox:1
RUN cat <<A > /a && cat <<B > /b
a
A
b
B
