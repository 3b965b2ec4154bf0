FROM registry.test/busybox:1 AS a
COPY --from=a /x /
FROM registry.test/busybox:1
RUN true
# expect: error
