FROM registry.test/busybox:1
ONBUILD COPY --nope a b
