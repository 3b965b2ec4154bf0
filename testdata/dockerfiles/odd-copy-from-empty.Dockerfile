FROM registry.test/busybox:1
COPY --from= app.txt /
