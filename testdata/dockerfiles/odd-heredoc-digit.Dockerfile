FROM registry.test/busybox:1
RUN cat 3<<EOF <&3
x
EOF
