ARG A=busybox
ARG B=${A}:1
FROM registry.test/$B
RUN true
