FROM nowhere.test/image:1
RUN true
# options: --build-context nowhere.test/image:1=docker-image://registry.test/busybox:1
