FROM registry.test/busybox:1
RUN echo a \
  # a comment
  && echo b \

  && echo c
