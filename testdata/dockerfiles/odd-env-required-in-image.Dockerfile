FROM registry.test/busybox:1
ENV A=${PATH:?no}
RUN true
