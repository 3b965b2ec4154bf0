FROM registry.test/busybox:1
LABEL a=b c="d e"
MAINTAINER someone
EXPOSE 80 81/udp
VOLUME /v
VOLUME ["/w"]
USER 1:1
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s CMD true
HEALTHCHECK NONE
ENTRYPOINT ["/bin/sh"]
CMD ["-c", "true"]
