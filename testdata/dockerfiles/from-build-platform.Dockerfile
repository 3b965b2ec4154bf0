FROM --platform=$BUILDPLATFORM registry.test/busybox:1 AS build
RUN echo hi > /out
FROM registry.test/busybox:1
COPY --from=build /out /out
