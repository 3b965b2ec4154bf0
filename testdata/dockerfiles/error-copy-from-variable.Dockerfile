FROM registry.test/busybox:1
ARG A=x
COPY --from=$A /x /
# expect: error
