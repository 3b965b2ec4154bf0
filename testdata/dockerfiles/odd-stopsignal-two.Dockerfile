FROM registry.test/busybox:1
STOPSIGNAL SIGTERM SIGINT
# expect: error
