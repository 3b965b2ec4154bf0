FROM registry.test/busybox:1
COPY --chmod=755 --chown=1:1 --link app.txt /x/
COPY --link=false app.txt /y
