FROM registry.test/busybox:1 AS tools
RUN echo t > /t
FROM registry.test/busybox:1
RUN --mount=type=bind,from=tools,source=/t,target=/t cat /t
