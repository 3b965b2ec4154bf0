FROM registry.test/busybox:1 AS a
RUN echo a > /a
FROM a AS b
RUN echo b > /b
FROM b AS c
RUN echo c > /c
FROM c
WORKDIR /d
