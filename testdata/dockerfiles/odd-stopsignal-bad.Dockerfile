FROM registry.test/busybox:1
STOPSIGNAL SIGNOPE
# expect: error
