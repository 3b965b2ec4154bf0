FROM registry.test/busybox:1
COPY app.txt src/main.c /x/
