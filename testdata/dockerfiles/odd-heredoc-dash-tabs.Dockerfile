FROM registry.test/busybox:1
RUN <<-EOF
	echo a
	EOF
