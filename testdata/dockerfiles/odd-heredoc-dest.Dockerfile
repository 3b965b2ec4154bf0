FROM registry.test/busybox:1
COPY app.txt <<E
E
# expect: error
