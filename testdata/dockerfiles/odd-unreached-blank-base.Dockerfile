FROM ${NONE} AS a
FROM registry.test/busybox:1
RUN true
# expect: error
