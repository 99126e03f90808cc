//! eBPF maps, and the programs that use them.

use super::offsets;

offsets! {
    MapLayout of "bpf_map" {
        memcg: "memcg",
        id: "id",
        name: "name",
    }
}

offsets! {
    ProgramLayout of "bpf_prog" {
        more: "aux",
    }
}

offsets! {
    ProgramMapsLayout of "bpf_prog_aux" {
        maps: "used_maps",
        count: "used_map_cnt",
    }
}
