FROM registry.test/busybox:1 AS build
# options: --target bulid
# expect: error
