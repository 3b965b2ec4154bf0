# a comment

  # indented
FROM registry.test/busybox:1


# more
RUN true
   
