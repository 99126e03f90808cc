#!/bin/busybox sh
# The first program of a VM with systemd. Runtimes leave the root of the initramfs by pivot_root, which needs a mount to
# leave: the root is mounted over itself, and systemd starts in there.

/bin/busybox mkdir -p /vm/root
/bin/busybox mount -o bind / /vm/root
cd /vm/root || exit
/bin/busybox mount -o move . /
exec /bin/busybox chroot . /lib/systemd/systemd
