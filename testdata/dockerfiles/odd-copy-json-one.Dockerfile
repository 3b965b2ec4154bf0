FROM registry.test/busybox:1
COPY ["a"]
# expect: error
