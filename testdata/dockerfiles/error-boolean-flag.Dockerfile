FROM registry.test/busybox:1
COPY --link=maybe app.txt /
# expect: error
