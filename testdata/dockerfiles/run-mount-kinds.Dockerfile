FROM registry.test/busybox:1
RUN --mount=type=cache,target=/c,id=x,sharing=locked --mount=type=tmpfs,target=/t --mount=type=secret,id=none,required=false true
