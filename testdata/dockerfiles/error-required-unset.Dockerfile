FROM registry.test/busybox:1
ENV A=${UNSET_NAME:?must be set}
# expect: error
