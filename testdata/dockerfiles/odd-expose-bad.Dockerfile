FROM registry.test/busybox:1
EXPOSE abc
# expect: error
