FROM registry.test/busybox:1
ENV V one two
RUN echo v=$V
