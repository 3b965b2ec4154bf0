FROM registry.test/busybox:1
ENV D=/dest S=app.txt
COPY ${S} $D/
