FROM --platform=a/b/c/d registry.test/busybox:1
# expect: error
