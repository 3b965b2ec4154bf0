FROM registry.test/busybox:1
COPY --chown app.txt /
# expect: error
