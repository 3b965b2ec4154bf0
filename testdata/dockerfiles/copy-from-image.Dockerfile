FROM registry.test/busybox:1
COPY --from=registry.test/busybox:1 /bin/busybox /b
