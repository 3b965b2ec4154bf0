FROM registry.test/busybox:1
RUN <<EOF
echo a > /a
echo b > /b
EOF
