FROM registry.test/busybox:1
COPY --from=files main.c /
# options: --build-context files=src
