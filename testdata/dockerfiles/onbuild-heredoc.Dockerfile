FROM registry.test/busybox:1 AS base
ONBUILD RUN <<EOF
echo t > /t
EOF
FROM base
RUN cat /t
