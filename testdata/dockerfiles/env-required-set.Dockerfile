FROM registry.test/busybox:1
ARG V=1
ENV A=${V:?needed}
RUN true
