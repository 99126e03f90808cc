#!/bin/sh
# One run of `memcg-trace trace "$@"` in a VM, for the report that docs/ shows: services that run one job after the other, each in
# a cgroup of its own as systemd makes them. Jobs of `sync` end well; those of `backup` leave a file on a tmpfs, and some of
# `export` a task that nobody waits for. At last the first backups are deleted. The recording goes to stdout.
set -e

slice=/sys/fs/cgroup/system.slice
mkdir $slice
echo +memory >$slice/cgroup.subtree_control

memcg-trace trace --grace 5s --record /tmp/recording "$@" >/tmp/shown 2>/tmp/said &
tracer=$!
until grep -q tracing /tmp/said; do sleep 1; done

# A shell that joins the cgroup of the service and becomes the job.
job() { name=$1; shift; mkdir "$slice/$name"; (exec sh -c 'echo 0 >"$0/cgroup.procs"; exec "$@"' "$slice/$name" "$@") || true; }
remove() { rmdir "$slice/$1"; }

for run in $(seq 1 20); do
    job "sync-$run.scope" true
    remove "sync-$run.scope"
    job "backup-$run.scope" dd if=/dev/zero of="/dev/shm/backup-$run.tar" bs=65536 count=$((run + 8)) 2>/dev/null
    remove "backup-$run.scope"
    if [ $((run % 4)) = 0 ]; then
        mkdir "$slice/export-$run.scope"
        sh -c '(enter() { echo 0 >"$0/cgroup.procs"; exec true; }; enter) & exec sleep 1000' "$slice/export-$run.scope" &
        sleep 1
        remove "export-$run.scope"
    fi
    sleep 0.5
done
sleep 6
rm /dev/shm/backup-1.tar /dev/shm/backup-2.tar /dev/shm/backup-3.tar
sleep 2
kill $tracer
wait $tracer || true
cat /tmp/said >&2
cat /tmp/recording
