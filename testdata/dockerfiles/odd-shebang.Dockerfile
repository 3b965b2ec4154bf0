#!/usr/bin/env docker
# escape=`
FROM registry.test/busybox:1
RUN echo a `
 && echo b
# expect: error
