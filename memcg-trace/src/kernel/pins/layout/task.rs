//! Tasks, what they have open, and the namespaces they live in.

use super::offsets;

offsets! {
    TaskLayout of "task_struct" {
        tgid: "tgid",
        comm: "comm",
        exit_state: "exit_state",
        leader: "group_leader",
        parent: "real_parent",
        mm: "mm",
        files: "files",
        namespaces: "nsproxy",
        css_set: "cgroups",
        /// The node in the list of its css_set's tasks.
        in_css_set: "cg_list",
        /// The node in the ring of thread group leaders.
        ring: "tasks",
        /// The node in the list of its group's threads.
        thread: "thread_node",
        signal: "signal",
    }
}

offsets! {
    SignalLayout of "signal_struct" {
        threads: "thread_head",
        count: "nr_threads",
    }
}

offsets! {
    FilesLayout of "files_struct" {
        table: "fdt",
    }
}

offsets! {
    TableLayout of "fdtable" {
        count: "max_fds",
        files: "fd",
    }
}

offsets! {
    NsproxyLayout of "nsproxy" {
        cgroup: "cgroup_ns",
        net: "net_ns",
        mount: "mnt_ns",
        ipc: "ipc_ns",
    }
}

offsets! {
    CgroupNamespaceLayout of "cgroup_namespace" {
        common: "ns",
        css_set: "root_cset",
    }
}

offsets! {
    NetLayout of "net" {
        common: "ns",
        /// The node in the list of all namespaces.
        node: "list",
        tcp: "ipv4.tcp_death_row.hashinfo",
        /// Since 6.2 (67fb43308f4b); before, all share one table.
        udp: "ipv4.udp_table",
        rtnetlink: "rtnl",
        /// Sockets for each CPU, until 5.18: per-CPU pointers.
        icmp: "ipv4.icmp_sk",
        icmp6: "ipv6.icmp_sk",
        tcp_control: "ipv4.tcp_sk",
        events: "uevent_sock",
        /// Areas of modules (`net_generic`): a length, and pointers.
        areas: "gen",
    }
}

offsets! {
    NamespaceLayout of "ns_common" {
        operations: "ops",
        number: "inum",
    }
}

offsets! {
    NamespaceOperationsLayout of "proc_ns_operations" {
        name: "name",
    }
}
