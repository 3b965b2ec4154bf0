FROM registry.test/busybox:1
ARG A="a b"
ARG B='$A'
RUN echo "$A" "$B"
