FROM registry.test/busybox:1
CMD ["a", 1]
# expect: error
