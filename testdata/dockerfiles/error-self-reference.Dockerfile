FROM registry.test/busybox:1 AS a
COPY --from=a /x /
# expect: error
