#!/bin/sh
# One run of `memcg-trace trace "$@"` in a VM of a kernel up to 5.4, for the golden recordings: the leak that the project began
# with, and what is like it and does not leak. Kernel memory is accounted for once a limit of it was set; where it is, each
# memcg has slab caches of its own, and a task that lists directories uses many of them. /btf is the kernel's type information,
# where there is any; /kcore hides /proc/kcore. The recording goes to stdout.
set -e

home=/sys/fs/cgroup/memory/home
[ ! -f /kcore ] || mount --bind /kcore /proc/kcore
[ ! -f /btf ] || set -- --btf /btf "$@"

account() { for bytes in 1 -1; do echo $bytes >"$home/$1/memory.kmem.limit_in_bytes"; done; }
# In the cgroup from here on.
enter() { echo 0 >"$home/$1/cgroup.procs"; }
list() { for round in 1 2 3; do ls -lR /sys/kernel /proc/sys /proc/1 || true; done >/dev/null 2>&1; }
work() {
    mkdir "$home/$1"
    account "$1"
    (enter "$1"; list)
    rmdir "$home/$1"
}

mkdir $home
work older

memcg-trace trace --grace 3s --record /tmp/recording "$@" >/tmp/shown 2>/tmp/said &
tracer=$!
until grep -q tracing /tmp/said; do sleep 1; done

for name in one two three; do work $name; done
# Accounted for, and nothing runs inside.
mkdir $home/idle
account idle
rmdir $home/idle
hostile=$(printf 'red \033[31m \377')
mkdir "$home/$hostile"
rmdir "$home/$hostile"
# Pages of a file on tmpfs, which is deleted later.
mkdir $home/late
(enter late; echo late >/dev/shm/late)
rmdir $home/late

echo 3 >/proc/sys/vm/drop_caches
sleep 5
rm /dev/shm/late
sleep 1
kill $tracer
wait $tracer || true
# What was shown and what is replayed are the same bytes.
memcg-trace replay /tmp/recording 2>/dev/null | cmp - /tmp/shown >&2
cat /tmp/said >&2
cat /tmp/recording
