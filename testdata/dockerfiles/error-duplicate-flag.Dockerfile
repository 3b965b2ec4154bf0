FROM registry.test/busybox:1
COPY --chown=1 --chown=2 app.txt /
# expect: error
