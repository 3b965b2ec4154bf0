FROM registry.test/busybox:1
ONBUILD FROM x
# expect: error
