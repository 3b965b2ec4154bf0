FROM registry.test/busybox:1
ADD <<a <<b /d/
1
a
2
b
