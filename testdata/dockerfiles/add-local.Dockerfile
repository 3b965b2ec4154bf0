FROM registry.test/busybox:1
ADD app.txt /x
