FROM registry.test/busybox:1 AS t
RUN echo > /t
FROM registry.test/busybox:1
RUN --mount=from=t,source=/t,target=/a --mount=from=T,source=/t,target=/b true
