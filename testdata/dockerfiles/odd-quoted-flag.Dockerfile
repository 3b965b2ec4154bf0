FROM registry.test/busybox:1
COPY --chown="1:1" app.txt /
