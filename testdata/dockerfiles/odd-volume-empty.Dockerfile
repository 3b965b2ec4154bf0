FROM registry.test/busybox:1
VOLUME [""]
# expect: error
