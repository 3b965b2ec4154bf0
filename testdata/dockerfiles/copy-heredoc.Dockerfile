FROM registry.test/busybox:1
ARG TARGETARCH
COPY <<EOF /a
arch $TARGETARCH
EOF
COPY <<-"A" <<B /d/
	raw $TARGETARCH
	A
b
B
RUN cat /a
