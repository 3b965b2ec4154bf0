FROM registry.test/busybox:1 AS base
ONBUILD RUN echo triggered > /t
ONBUILD COPY app.txt /app
FROM base
RUN cat /t
