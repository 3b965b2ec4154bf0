FROM registry.test/busybox:1
WORKDIR $NONE
RUN pwd
