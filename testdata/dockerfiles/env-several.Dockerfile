FROM registry.test/busybox:1
ENV A=1 B=$A C="x y" D=q\ r
ENV E=$A$B
RUN echo "$A|$B|$C|$D|$E"
