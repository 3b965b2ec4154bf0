FROM registry.test/busybox:1
RUN <<EOF
true
# expect: error
