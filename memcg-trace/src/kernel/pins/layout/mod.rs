//! Offsets of the members that lead to references of a memcg. Each may be absent: what it leads to is then not
//! looked for, or not told.

mod bpf;
mod cgroup;
mod file;
mod ipc;
mod lru;
mod mm;
mod page;
mod socket;
mod stock;
mod swap;
mod task;
mod watch;

pub(in crate::kernel::pins) use self::{
    bpf::{MapLayout, ProgramLayout, ProgramMapsLayout},
    cgroup::{CgroupLayout, CssLayout, CssSetLayout},
    file::{
        BdiLayout, DentryLayout, DeviceLayout, FileLayout, FileSystemLayout, InodeLayout, MappingLayout,
        MountLayout, SuperBlockLayout, WritebackLayout,
    },
    ipc::IpcLayout,
    lru::NodeLayout,
    mm::{AnonLayout, AnonLinkLayout, AreaLayout, KsmItemLayout, KsmNodeLayout, MmLayout, MmListLayout},
    page::{PageLayout, PageWords, SlabCacheLayout, index, word},
    socket::{
        ControlLayout, MessageLayout, ProtocolLayout, RightsLayout, SockLayout, SocketLayout, TcpTableLayout,
        UdpTableLayout, UnixAddressLayout, UnixLayout,
    },
    stock::StockLayout,
    swap::SwapLayout,
    task::{
        CgroupNamespaceLayout, FilesLayout, NamespaceLayout, NamespaceOperationsLayout, NetLayout,
        NsproxyLayout, SignalLayout, TableLayout, TaskLayout,
    },
    watch::{GroupLayout, PerfEventLayout},
};
use crate::kernel::layout::Types;

/// Declares the offsets of a struct's members, by their paths in BTF; of several, separated by `|`, the first that this
/// kernel has.
macro_rules! offsets {
    ($(#[$doc:meta])* $name:ident of $kernel:literal $(| $older:literal)* { $($(#[$member_doc:meta])* $member:ident: $($path:literal)|+,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(in crate::kernel::pins) struct $name {
            $($(#[$member_doc])* #[doc = concat!("`", $kernel, concat!($(".", $path, "`",)+))] pub $member: u32,)+
        }

        impl $name {
            pub fn of(types: &crate::kernel::layout::Types<'_>) -> Self {
                let names = [$kernel $(, $older)*];
                Self {
                    $($member: [$($path),+]
                        .into_iter()
                        .find_map(|path| names.iter().find_map(|name| types.offset(name, path)))
                        .unwrap_or(memcg_trace_common::ABSENT),)+
                }
            }
        }
    };
}
use offsets;

/// The layouts of all structs that are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct PinLayout {
    pub page: PageLayout,
    pub slab_cache: SlabCacheLayout,
    pub node: NodeLayout,
    pub mapping: MappingLayout,
    pub inode: InodeLayout,
    pub dentry: DentryLayout,
    pub super_block: SuperBlockLayout,
    pub file_system: FileSystemLayout,
    pub css: CssLayout,
    pub mm_list: MmListLayout,
    pub mm: MmLayout,
    pub stock: StockLayout,
    pub swap: SwapLayout,
    pub bdi: BdiLayout,
    pub device: DeviceLayout,
    pub writeback: WritebackLayout,
    pub nsproxy: NsproxyLayout,
    pub cgroup_namespace: CgroupNamespaceLayout,
    pub group: GroupLayout,
    pub map: MapLayout,
    pub program: ProgramLayout,
    pub program_maps: ProgramMapsLayout,
    pub perf_event: PerfEventLayout,
    pub net: NetLayout,
    /// `sizeof(struct net)`
    pub net_size: u32,
    /// Address of the offsets of the CPUs' variables (`__per_cpu_offset`), where they are needed.
    pub cpu_offsets: Option<u64>,
    pub sock: SockLayout,
    pub socket: SocketLayout,
    pub unix: UnixLayout,
    pub unix_address: UnixAddressLayout,
    pub message: MessageLayout,
    pub control: ControlLayout,
    pub rights: RightsLayout,
    pub protocol: ProtocolLayout,
    pub tcp_table: TcpTableLayout,
    pub udp_table: UdpTableLayout,
    pub namespace: NamespaceLayout,
    pub ipc: IpcLayout,
    pub namespace_operations: NamespaceOperationsLayout,
    pub mount: MountLayout,
    pub task: TaskLayout,
    pub signal: SignalLayout,
    pub css_set: CssSetLayout,
    pub cgroup: CgroupLayout,
    pub files: FilesLayout,
    pub table: TableLayout,
    pub file: FileLayout,
    pub area: AreaLayout,
    pub anon: AnonLayout,
    pub anon_link: AnonLinkLayout,
    pub ksm_node: KsmNodeLayout,
    pub ksm_item: KsmItemLayout,
}

impl PinLayout {
    pub fn of(types: &Types<'_>) -> Self {
        Self {
            page: PageLayout::of(types),
            slab_cache: SlabCacheLayout::of(types),
            node: NodeLayout::of(types),
            mapping: MappingLayout::of(types),
            inode: InodeLayout::of(types),
            dentry: DentryLayout::of(types),
            super_block: SuperBlockLayout::of(types),
            file_system: FileSystemLayout::of(types),
            css: CssLayout::of(types),
            mm_list: MmListLayout::of(types),
            mm: MmLayout::of(types),
            stock: StockLayout::of(types),
            swap: SwapLayout::of(types),
            bdi: BdiLayout::of(types),
            device: DeviceLayout::of(types),
            writeback: WritebackLayout::of(types),
            nsproxy: NsproxyLayout::of(types),
            cgroup_namespace: CgroupNamespaceLayout::of(types),
            group: GroupLayout::of(types),
            map: MapLayout::of(types),
            program: ProgramLayout::of(types),
            program_maps: ProgramMapsLayout::of(types),
            perf_event: PerfEventLayout::of(types),
            net: NetLayout::of(types),
            net_size: types.size("net").unwrap_or(0),
            cpu_offsets: None,
            sock: SockLayout::of(types),
            socket: SocketLayout::of(types),
            unix: UnixLayout::of(types),
            unix_address: UnixAddressLayout::of(types),
            message: MessageLayout::of(types),
            control: ControlLayout::of(types),
            rights: RightsLayout::of(types),
            protocol: ProtocolLayout::of(types),
            tcp_table: TcpTableLayout::of(types),
            udp_table: UdpTableLayout::of(types),
            namespace: NamespaceLayout::of(types),
            ipc: IpcLayout::of(types),
            namespace_operations: NamespaceOperationsLayout::of(types),
            mount: MountLayout::of(types),
            task: TaskLayout::of(types),
            signal: SignalLayout::of(types),
            css_set: CssSetLayout::of(types),
            cgroup: CgroupLayout::of(types),
            files: FilesLayout::of(types),
            table: TableLayout::of(types),
            file: FileLayout::of(types),
            area: AreaLayout::of(types),
            anon: AnonLayout::of(types),
            anon_link: AnonLinkLayout::of(types),
            ksm_node: KsmNodeLayout::of(types),
            ksm_item: KsmItemLayout::of(types),
        }
    }
}
