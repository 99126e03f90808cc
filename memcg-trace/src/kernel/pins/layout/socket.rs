//! Sockets, their tables and their queues.

use super::offsets;

offsets! {
    SockLayout of "sock" {
        family: "__sk_common.skc_family",
        state: "__sk_common.skc_state",
        protocol: "__sk_common.skc_prot",
        net: "__sk_common.skc_net.net",
        local: "__sk_common.skc_rcv_saddr",
        local_port: "__sk_common.skc_num",
        remote: "__sk_common.skc_daddr",
        /// In network byte order.
        remote_port: "__sk_common.skc_dport",
        local6: "__sk_common.skc_v6_rcv_saddr",
        remote6: "__sk_common.skc_v6_daddr",
        /// The node in a table of its protocol.
        node: "__sk_common.skc_node",
        memcg: "sk_memcg",
        socket: "sk_socket",
        queue: "sk_receive_queue",
        queue_length: "sk_receive_queue.qlen",
    }
}

offsets! {
    SocketLayout of "socket" {
        file: "file",
        sock: "sk",
    }
}

offsets! {
    UnixAddressLayout of "unix_address" {
        length: "len",
        name: "name",
    }
}

offsets! {
    UnixLayout of "unix_sock" {
        address: "addr",
        peer: "peer",
    }
}

offsets! {
    MessageLayout of "sk_buff" {
        sock: "sk",
        control: "cb",
    }
}

offsets! {
    /// What a message's `cb` has.
    ControlLayout of "unix_skb_parms" {
        files: "fp",
    }
}

offsets! {
    RightsLayout of "scm_fp_list" {
        count: "count",
        files: "fp",
    }
}

offsets! {
    ProtocolLayout of "proto" {
        name: "name",
        table: "h.udp_table",
        /// The node in the list of all protocols.
        node: "node",
    }
}

offsets! {
    TcpTableLayout of "inet_hashinfo" {
        buckets: "ehash",
        mask: "ehash_mask",
    }
}

offsets! {
    UdpTableLayout of "udp_table" {
        buckets: "hash",
        mask: "mask",
    }
}
