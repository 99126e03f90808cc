#!/bin/sh
# One run of `memcg-trace trace "$@"` in a VM, for the golden recordings: lives that end well, a zombie from before the start,
# a pin of each kind that a shell can make (of which one is let go), and a name that is hostile to terminals. The recording
# goes to stdout.
set -e

root=/sys/fs/cgroup
[ ! -d $root/memory ] || root=$root/memory
home=$root/home

# Joins the cgroup at $1 and becomes the rest. What is not its own was paid for before.
enter() { cgroup=$1; shift; exec sh -c 'echo 0 >"$0/cgroup.procs"; exec "$@"' "$cgroup" "$@"; }
make() { mkdir "$home/$1"; }
remove() { rmdir "$home/$1"; }
write_in() { (enter "$home/$1" dd if=/dev/zero of="/dev/shm/$2" bs=65536 count=16 2>/dev/null); }

mkdir $home
[ ! -f $home/cgroup.subtree_control ] || echo +memory >$home/cgroup.subtree_control
make older
write_in older older
remove older

memcg-trace trace --grace 3s --record /tmp/recording "$@" >/tmp/shown 2>/tmp/said &
tracer=$!
until grep -q tracing /tmp/said; do sleep 1; done

for name in one two; do
    make $name
    (enter $home/$name true)
    remove $name
done
hostile=$(printf 'red \033[31m \377')
make "$hostile"
remove "$hostile"

# Pages of a file on tmpfs, twice. One is deleted later.
for name in tmpfs late; do
    make $name
    write_in $name $name
    remove $name
done

# A task that ended and that its parent, asleep, does not wait for.
make task
sh -c '(enter() { echo 0 >"$0/cgroup.procs"; exec true; }; enter) & exec sleep 1000' $home/task &
sleep 1
remove task

# Pages in swap; their owner keeps the end of its input until the input ends, and is moved out.
modprobe zram
echo 64M >/sys/block/zram0/disksize
mkswap /dev/zram0 >/dev/null
swapon /dev/zram0
make swap
{ head -c 1000000 /dev/urandom; sleep 1000; } | (enter $home/swap tail -c 1000000) >/dev/null &
sleep 1
if [ -f $home/swap/memory.high ]; then
    echo 0 >$home/swap/memory.high || true
else
    echo 0 >$home/swap/memory.force_empty || true
fi
for task in $(cat $home/swap/cgroup.procs); do echo $task >$root/cgroup.procs; done
remove swap

sleep 4
rm /dev/shm/late
sleep 1
kill $tracer
wait $tracer || true
# What was shown and what is replayed are the same bytes.
memcg-trace replay /tmp/recording 2>/dev/null | cmp - /tmp/shown >&2
cat /tmp/said >&2
cat /tmp/recording
