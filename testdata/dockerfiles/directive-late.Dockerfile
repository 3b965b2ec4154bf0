FROM registry.test/busybox:1
# escape=`
RUN echo \
  a
