FROM registry.test/busybox:1
COPY --from=-1 / /x
# expect: error
