FROM registry.test/busybox:1
ADD --from=x a b
# expect: error
