FROM registry.test/busybox:1
RUN ["/bin/sh", "-c", "echo a > /a"]
