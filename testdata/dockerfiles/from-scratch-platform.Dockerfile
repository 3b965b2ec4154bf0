FROM --platform=linux/amd64 scratch
COPY app.txt /
WORKDIR /x
