FROM registry.test/busybox:1
CMD echo 'x
