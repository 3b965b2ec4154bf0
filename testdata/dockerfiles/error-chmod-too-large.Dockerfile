FROM registry.test/busybox:1
ARG MODE=10000
ADD --chmod=$MODE app.txt /x/
# expect: error
