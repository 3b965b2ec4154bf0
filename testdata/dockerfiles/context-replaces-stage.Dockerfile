FROM registry.test/busybox:1 AS tools
RUN false
FROM registry.test/busybox:1
COPY --from=tools /bin/busybox /other
# options: --build-context tools=docker-image://registry.test/busybox:1
