ARG IMAGE=none
FROM registry.test/$IMAGE
RUN true
# options: --build-arg IMAGE=busybox:1
