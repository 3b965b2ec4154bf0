FROM registry.test/busybox:1
ARG MODE=0640
COPY --chmod=$MODE app.txt /x/
COPY --chmod=$NONE app.txt /y/
