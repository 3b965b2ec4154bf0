FROM registry.test/busybox:1
ARG P=80
ENV U=1
EXPOSE $P
USER $U
WORKDIR /w/$P
LABEL a=$P
STOPSIGNAL ${S:-9}
