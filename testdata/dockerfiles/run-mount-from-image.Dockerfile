FROM --platform=$BUILDPLATFORM registry.test/busybox:1 AS build
RUN --mount=from=registry.test/busybox:1,target=/m ls /m > /out
FROM registry.test/busybox:1
COPY --from=build /out /
