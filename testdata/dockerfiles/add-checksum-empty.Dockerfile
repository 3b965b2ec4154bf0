FROM registry.test/busybox:1
ADD --checksum=$NONE app.txt /x/
