FROM registry.test/busybox:1
RUN <<EOF
#!/bin/sh
echo a > /a
EOF
