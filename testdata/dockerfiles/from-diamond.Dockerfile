FROM registry.test/busybox:1 AS a
RUN echo a > /a
FROM a AS b
RUN echo b > /b
FROM a AS c
RUN echo c > /c
FROM a
COPY --from=b /b /
COPY --from=c /c /
