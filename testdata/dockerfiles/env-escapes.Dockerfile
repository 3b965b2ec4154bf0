FROM registry.test/busybox:1
ENV A=\$x B='$x' C="\$x" D="a\"b"
RUN echo done
