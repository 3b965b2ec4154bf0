FROM registry.test/busybox:1 AS Builder
RUN true
FROM Builder
RUN true
# expect: error
