FROM registry.test/busybox:1
RUN --mount=from=a$,target=/x true
# expect: error
