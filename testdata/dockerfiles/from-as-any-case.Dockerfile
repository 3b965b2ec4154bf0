from registry.test/busybox:1 as build
run echo 1 > /a
From registry.test/busybox:1
Copy --from=BUILD /a /
