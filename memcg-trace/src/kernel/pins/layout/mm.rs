//! Address spaces, and what is mapped in them.

use super::offsets;

offsets! {
    MmListLayout of "mem_cgroup" {
        mms: "mm_list.fifo",
    }
}

offsets! {
    MmLayout of "mm_struct" {
        /// The node in that list.
        node: "lru_gen.list",
        memcg: "lru_gen.memcg",
    }
}

offsets! {
    AreaLayout of "vm_area_struct" {
        mm: "vm_mm",
        /// The node in the tree of its file's areas.
        of_file: "shared.rb",
    }
}

offsets! {
    AnonLayout of "anon_vma" {
        links: "rb_root.rb_root.rb_node" | "rb_root.rb_node",
    }
}

offsets! {
    AnonLinkLayout of "anon_vma_chain" {
        area: "vma",
        node: "rb",
    }
}

offsets! {
    /// A page that KSM merged (mm/ksm.c); the structs have their prefix since 6.1 (21fbd59136e0).
    KsmNodeLayout of "ksm_stable_node" | "stable_node" {
        sharers: "hlist.first",
    }
}

offsets! {
    /// One of those that share it.
    KsmItemLayout of "ksm_rmap_item" | "rmap_item" {
        anon: "anon_vma",
        /// The page's node, as long as it is in its list.
        head: "head",
        /// The node in that list.
        node: "hlist",
        next: "hlist.next",
    }
}
