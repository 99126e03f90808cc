#!/bin/busybox sh
# Process 1 of the VM. /vm/settings says what it shall be like, /vm/command is what to run.
# Serial ports besides the kernel's console: $out and $err have the command's output and errors, $status a line for the host.

# What was brought along goes before busybox's programs.
export PATH=/usr/local/bin:/bin:/sbin HOME=/ TERM=${TERM:-linux}
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /etc /sbin /lib/modules
/bin/busybox --install -s /bin

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm /dev/pts

. /vm/settings
say() { echo "$*" >$status; }
leave() { say "$@"; sync; reboot -f; }
must() { "$@" || leave "error in the VM: \`$*\` failed"; }

must mount -t tmpfs tmpfs /tmp
must mount -t tmpfs tmpfs /dev/shm
must mount -t tmpfs tmpfs /run
mount -t devpts devpts /dev/pts
mount -t debugfs debugfs /sys/kernel/debug
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
ip link set lo up

ln -s /lib/vm-modules "/lib/modules/$(uname -r)"
ln -s /bin/busybox /sbin/modprobe
depmod

controllers="memory pids"
grep -q cgroup_disable=memory /proc/cmdline && controllers=pids
case $cgroup in
v1)
    must mount -t tmpfs tmpfs /sys/fs/cgroup
    for controller in $controllers; do
        mkdir /sys/fs/cgroup/$controller
        must mount -t cgroup -o $controller cgroup /sys/fs/cgroup/$controller
    done
    ;;
v2)
    must mount -t cgroup2 cgroup2 /sys/fs/cgroup
    for controller in $controllers; do
        must sh -c "echo +$controller >/sys/fs/cgroup/cgroup.subtree_control"
    done
    ;;
esac

say "booted $(cut -d' ' -f1 /proc/uptime)"
if [ "$interactive" ]; then
    setsid -c sh -c "stty $size; exec sh -l" <$out >$out 2>&1
else
    # Raw: the terminal must not turn \n into \r\n, nor echo, nor wait for lines.
    stty -F $out raw -echo
    stty -F $err raw -echo
    sh /vm/command </dev/null >$out 2>$err
fi
leave "exit $?"
