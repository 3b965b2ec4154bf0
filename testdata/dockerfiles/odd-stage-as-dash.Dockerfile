FROM registry.test/busybox:1 AS a-b_c.d
RUN echo > /a
FROM a-b_c.d
RUN true
