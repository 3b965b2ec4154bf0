FROM --platform=$BUILDPLATFORM registry.test/busybox:1 AS build
COPY --from=registry.test/busybox:1 /bin/busybox /b
FROM registry.test/busybox:1
COPY --from=build /b /b
