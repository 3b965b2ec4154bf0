FROM registry.test/busybox:1 AS a
COPY --from=9 /x /
FROM registry.test/busybox:1
RUN true
# expect: error
