FROM registry.test/busybox:1 AS base
ONBUILD ARG V=1
ONBUILD RUN echo V=$V
FROM base
RUN echo V=$V
