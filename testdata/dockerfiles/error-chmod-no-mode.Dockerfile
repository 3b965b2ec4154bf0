FROM registry.test/busybox:1
COPY --chmod=64a app.txt /x/
# expect: error
