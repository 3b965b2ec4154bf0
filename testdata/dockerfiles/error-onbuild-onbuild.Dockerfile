FROM registry.test/busybox:1
ONBUILD ONBUILD RUN true
# expect: error
