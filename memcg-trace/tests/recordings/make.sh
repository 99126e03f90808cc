#!/bin/sh
# Makes the golden recordings anew, each in a VM, and what they are replayed into. Read the difference before committing it.
set -e
cd "$(dirname "$0")"

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

UPDATE_GOLDEN=1 cargo test --package memcg-trace --test replay
