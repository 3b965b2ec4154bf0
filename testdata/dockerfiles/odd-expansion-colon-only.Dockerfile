FROM registry.test/busybox:1
ARG A=${B:}
RUN true
# expect: error
