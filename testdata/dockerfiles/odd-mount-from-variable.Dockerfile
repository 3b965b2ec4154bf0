FROM registry.test/busybox:1
ARG A=b
RUN --mount=from=$A,target=/x true
# expect: error
