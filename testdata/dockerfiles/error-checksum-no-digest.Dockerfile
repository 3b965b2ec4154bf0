FROM registry.test/busybox:1
ADD --checksum=sha256:abc https://example.test/a /x/
# expect: error
