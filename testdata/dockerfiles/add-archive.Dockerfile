FROM registry.test/busybox:1
ADD a.tar /x/
