FROM registry.test/busybox:1
RUN echo proxy
# options: --build-arg HTTP_PROXY=http://proxy.test
