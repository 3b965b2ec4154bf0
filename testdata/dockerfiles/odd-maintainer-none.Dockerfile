FROM registry.test/busybox:1
MAINTAINER
# expect: error
