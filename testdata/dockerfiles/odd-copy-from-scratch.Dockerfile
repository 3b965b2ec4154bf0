FROM registry.test/busybox:1
COPY --from=scratch / /x
