FROM registry.test/busybox:1 AS a
ARG V=1
RUN echo V=$V
FROM a
RUN echo inherits $V
