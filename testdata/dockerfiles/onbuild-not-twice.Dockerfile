FROM registry.test/busybox:1 AS base
ONBUILD RUN echo t > /t
FROM base AS mid
RUN echo m > /m
FROM mid
RUN cat /t /m
