ARG IMAGE=busybox
ARG TAG=1
FROM registry.test/${IMAGE}:${TAG}
RUN true
