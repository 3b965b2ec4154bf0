FROM registry.test/busybox:1
RUN --mount=type=chache,target=/x true
# expect: error
