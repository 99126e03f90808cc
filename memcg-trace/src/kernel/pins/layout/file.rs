//! Files, file systems, mounts and devices.

use super::offsets;

offsets! {
    FileLayout of "file" {
        inode: "f_inode",
        private: "private_data",
        dentry: "f_path.dentry",
    }
}

offsets! {
    InodeLayout of "inode" {
        number: "i_ino",
        links: "i_nlink",
        size: "i_size",
        device: "i_rdev",
        super_block: "i_sb",
        mapping: "i_mapping",
        dentries: "i_dentry.first",
        private: "i_private",
        /// The node in a list of dirty inodes.
        dirty: "i_io_list",
    }
}

offsets! {
    MappingLayout of "address_space" {
        host: "host",
        pages: "nrpages",
        /// The page itself, if it is the only one, at index 0. A radix tree before 4.20, and with another name before 4.17.
        first: "i_pages.xa_head" | "i_pages.rnode" | "page_tree.rnode",
        /// The areas of memory that map it, a tree.
        areas: "i_mmap.rb_root.rb_node",
    }
}

offsets! {
    DentryLayout of "dentry" {
        inode: "d_inode",
        parent: "d_parent",
        length: "d_name.len",
        name: "d_name.name",
        /// The node in the list of an inode's dentries (a union until 7.2).
        alias: "d_u.d_alias" | "d_alias",
    }
}

offsets! {
    SuperBlockLayout of "super_block" {
        device: "s_dev",
        flags: "s_flags",
        mounts: "s_mounts",
        file_system: "s_type",
        list: "s_list",
        bdi: "s_bdi",
    }
}

offsets! {
    FileSystemLayout of "file_system_type" {
        name: "name",
    }
}

offsets! {
    MountLayout of "mount" {
        root: "mnt.mnt_root",
        /// The node in the list of its super block's mounts, or since 6.18 a pointer to the next.
        of_super_block: "mnt_instance",
        next: "mnt_next_for_sb",
    }
}

offsets! {
    BdiLayout of "backing_dev_info" {
        /// The node in the ring of all.
        ring: "bdi_list",
        list: "wb_list",
        name: "dev_name",
        /// Has the name until 5.7 (6bd87eec23cb).
        device: "dev",
    }
}

offsets! {
    DeviceLayout of "device" {
        name: "kobj.name",
    }
}

offsets! {
    WritebackLayout of "bdi_writeback" {
        /// The node in the list of its device.
        node: "bdi_node",
        memcg: "memcg_css",
        dirty: "b_dirty",
        io: "b_io",
        more_io: "b_more_io",
        dirty_time: "b_dirty_time",
        /// Clean inodes (5.14, f3b6a6df38aa).
        attached: "b_attached",
    }
}
