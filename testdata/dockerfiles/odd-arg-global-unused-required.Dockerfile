ARG A=${N:?no}
FROM registry.test/busybox:1
RUN true
# expect: error
