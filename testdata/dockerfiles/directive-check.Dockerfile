# check=skip=all
FROM registry.test/busybox:1 AS Up
RUN true
