FROM registry.test/busybox:1
COPY --chmod=zz app.txt /x/
FROM registry.test/busybox:1
RUN true
