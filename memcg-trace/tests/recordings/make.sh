#!/bin/sh
# Makes the golden recordings anew, each in a VM, and what they are replayed into. Read the difference before committing it.
#
# `make.sh NAME IMAGE [OPTION]...` makes one of an old kernel that Debian does not have any more, with seed.sh; options are
# those of `cargo xtask vm`. `--file FILE:/btf` brings its type information, `--file FILE:/kcore` hides /proc/kcore.
set -e
cd "$(dirname "$0")"

if [ $# -gt 1 ]; then
    name=$1 image=$2
    shift 2
    cargo xtask vm --kernel "$image" --cgroup v1 --file seed.sh:/seed.sh "$@" -- sh /seed.sh >"$name.new"
    mv "$name.new" "$name.recording"
    UPDATE_GOLDEN=1 exec cargo test --package memcg-trace --test unprivileged replay::
fi

record() {
    name=$1 kernel=$2 cgroup=$3
    shift 3
    cargo xtask vm --kernel "$kernel" --cgroup "$cgroup" --file scenario.sh:/scenario.sh \
        -- sh /scenario.sh "$@" >"$name.new"
    mv "$name.new" "$name.recording"
}

record 5.10-v1 5.10 v1
record 5.10-v2 5.10 v2
record 6.1-v1 6.1 v1
record 6.1-v2 6.1 v2
record 6.12-v2 6.12 v2
record 7.2-v2 7.2 v2
# What kernels without kprobes give, with and without a walk.
record tracepoint 6.12 v2 --backend tracepoint
record tracepoint-no-walk 6.1 v1 --backend tracepoint --no-walk
# Of the report that docs/ shows.
cargo xtask vm --kernel 6.12 --cgroup v2 --file jobs.sh:/jobs.sh -- sh /jobs.sh >6.12-jobs.new
mv 6.12-jobs.new 6.12-jobs.recording

UPDATE_GOLDEN=1 cargo test --package memcg-trace --test unprivileged -- replay:: report::
