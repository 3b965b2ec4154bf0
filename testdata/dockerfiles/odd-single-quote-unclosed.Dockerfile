FROM registry.test/busybox:1
COPY 'app.txt /
# expect: error
