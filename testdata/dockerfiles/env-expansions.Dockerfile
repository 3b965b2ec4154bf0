FROM registry.test/busybox:1
ARG P=a/b/c.tar.gz
ENV A=${P#*/} B=${P##*/} C=${P%.*} D=${P%%.*} E=${P/\//_} F=${P//\//_} G=${N:-n} H=${P:+p} I=${N:+p}
RUN echo "$A|$B|$C|$D|$E|$F|$G|$H|$I"
