FROM registry.test/busybox:1
COPY --form=x a b
# expect: error
