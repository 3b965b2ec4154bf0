FROM --platform=$NONE registry.test/busybox:1
# expect: error
