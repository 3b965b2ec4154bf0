ARG KIND=one
FROM registry.test/busybox:1 AS base-one
RUN echo 1 > /a
FROM registry.test/busybox:1 AS base-two
RUN echo 2 > /a
FROM base-${KIND}
RUN true
