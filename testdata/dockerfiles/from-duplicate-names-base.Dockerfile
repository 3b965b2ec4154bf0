FROM registry.test/busybox:1 AS x
RUN echo 1 > /a
FROM x AS x
RUN echo 2 > /a
FROM x
RUN true
