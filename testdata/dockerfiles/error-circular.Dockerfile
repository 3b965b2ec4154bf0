FROM registry.test/busybox:1 AS a
COPY --from=b /x /
FROM registry.test/busybox:1 AS b
COPY --from=a /x /
# expect: error
