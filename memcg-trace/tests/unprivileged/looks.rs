//! Looks as the readers would make them.

use memcg_trace::{
    cause::{
        File, FileKind, Folios, Holder, How, KernelPages, Mount, NetNamespace, Notify, Process, Reference,
        Referenced, Socket, SwapDevice, Thing,
    },
    event::Key,
};

use crate::events::key;

fn bytes(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

/// A memcg that has these references and no others.
pub fn memcg(serial: u64, references: Vec<Reference>) -> Referenced {
    let refs = references.iter().map(|reference| reference.refs).sum();
    Referenced { key: key(serial), before: Some(refs), after: Some(refs), references }
}

/// 300 folios of a file that somebody truncates.
pub fn moved(serial: u64) -> Referenced {
    let referenced = memcg(serial, vec![file(FileKind::Tmpfs, "/busy", 300)]);
    Referenced { before: Some(310), after: Some(290), ..referenced }
}

pub fn process(pid: u32, comm: &str) -> Process {
    Process { pid, comm: bytes(comm) }
}

fn held(pid: u32, comm: &str, how: How) -> Holder {
    Holder { process: Some(process(pid, comm)), how }
}

pub fn folios(refs: u64) -> Folios {
    Folios { folios: refs, pages: refs, mapped: Some(0), ..Folios::default() }
}

fn reference(refs: u64, thing: Thing, holders: Vec<Holder>) -> Reference {
    Reference { refs, thing, holders }
}

/// A file that nobody has.
pub fn file(kind: FileKind, path: &str, refs: u64) -> Reference {
    let (filesystem, device, point) = match kind {
        FileKind::Regular => ("ext4", (254, 1), Some("/var/lib")),
        FileKind::Tmpfs => ("tmpfs", (0, 25), Some("/dev/shm")),
        FileKind::Memfd | FileKind::SysvShm | FileKind::SharedAnon => ("tmpfs", (0, 1), None),
        FileKind::Hugetlbfs => ("hugetlbfs", (0, 31), Some("/dev/hugepages")),
        FileKind::BlockDevice => ("bdev", (254, 1), None),
    };
    let mount = point.map(|point| Mount { point: bytes(point), pid: None, root: bytes("/") });
    let path = (kind != FileKind::BlockDevice).then(|| bytes(path));
    let links = mount.as_ref().map(|_| 1);
    let file = File {
        kind,
        device,
        inode: 32_769,
        filesystem: bytes(filesystem),
        mount,
        path,
        links,
        bytes: Some(refs * 4096),
        cached_pages: Some(refs),
        ipc: None,
    };
    reference(refs, Thing::File { file, folios: folios(refs) }, Vec::new())
}

/// The same thing, and a process that has it open.
pub fn open(mut reference: Reference, pid: u32, fd: u32) -> Reference {
    reference.holders.push(held(pid, "postgres", How::Open { fd }));
    reference
}

fn with(mut reference: Reference, change: impl FnOnce(&mut File, &mut Folios)) -> Reference {
    if let Thing::File { file, folios } = &mut reference.thing {
        change(file, folios);
    }
    reference
}

fn net(kernel_socket: bool, holders: Vec<Holder>) -> NetNamespace {
    NetNamespace { inode: 4_026_532_281, is_initial: false, kernel_socket, holders }
}

fn socket(net: Option<NetNamespace>, holders: Vec<Holder>, orphan: bool) -> Reference {
    let socket = Socket {
        protocol: bytes("TCP"),
        family: 2,
        local: Some(bytes("127.0.0.1:80")),
        remote: Some(bytes("127.0.0.1:40312")),
        state: if orphan { 4 } else { 1 },
        inode: (!orphan).then_some(90_210),
        net,
        orphan,
    };
    reference(1, Thing::Socket(socket), holders)
}

/// One thing of each kind, the commonest with its variants.
pub fn every_kind() -> Vec<Reference> {
    let large = |file: &mut File, folios: &mut Folios| {
        (folios.pages, folios.large) = (2048, 200);
        file.cached_pages = Some(4096);
    };
    let dirty = |_: &mut File, folios: &mut Folios| (folios.dirty, folios.writeback) = (3, 1);
    let mapped = |_: &mut File, folios: &mut Folios| folios.mapped = Some(9);
    let deleted = |file: &mut File, _: &mut Folios| file.links = Some(0);
    let nameless = |file: &mut File, _: &mut Folios| file.path = None;
    let elsewhere = |file: &mut File, _: &mut Folios| {
        file.mount = Some(Mount { point: bytes("/data"), pid: Some(812), root: bytes("/") });
    };
    let sleep = || held(4242, "sleep", How::Mapped);
    let mut mlocked = folios(32);
    (mlocked.mlocked, mlocked.mapped) = (32, Some(32));
    let mut mapping = with(file(FileKind::Regular, "/libc.so.6", 9), mapped);
    mapping.holders = (0..6).map(|pid| held(500 + pid, "nginx", How::Mapped)).collect();
    let mut segment = file(FileKind::SysvShm, "SYSV0052e2c1", 64);
    segment.holders.push(held(77, "postgres", How::Attached));
    let mut zero = file(FileKind::SharedAnon, "dev/zero", 8);
    zero.holders.push(sleep());
    let swap = SwapDevice {
        device: bytes("/dev/dm-1"),
        entries: 2304,
        files: vec![(file_of(file(FileKind::Tmpfs, "/swapped", 1)), 256)],
        processes: vec![(process(204, "tail"), 2048)],
    };
    let unreaped = How::Unreaped { parent: process(4000, "python3") };
    let dirty_file = file_of(file(FileKind::Regular, "/log/app.log", 1));
    let kept_file = file_of(with(file(FileKind::Regular, "/nameless", 1), nameless));
    vec![
        with(file(FileKind::Regular, "/app/data.db", 326), large),
        with(file(FileKind::Regular, "/app/dirty.db", 12), dirty),
        mapping,
        open(with(file(FileKind::Regular, "/app/gone.log", 64), deleted), 4242, 3),
        with(file(FileKind::Regular, "/nameless", 2), nameless),
        file(FileKind::Tmpfs, "/cache.bin", 256),
        open(with(file(FileKind::Tmpfs, "/gone", 16), deleted), 4242, 5),
        with(file(FileKind::Tmpfs, "/volume/file", 40), elsewhere),
        open(file(FileKind::Memfd, "memfd:buffers", 33), 4242, 7),
        segment,
        zero,
        file(FileKind::Hugetlbfs, "/pool", 2),
        file(FileKind::BlockDevice, "", 3),
        reference(32, Thing::Anon { folios: mlocked }, vec![sleep()]),
        reference(1, Thing::Detached { folios: folios(1) }, Vec::new()),
        reference(6, Thing::KernelPages { kind: KernelPages::PageTable, folios: folios(6) }, vec![sleep()]),
        reference(15, Thing::KernelPages { kind: KernelPages::Other, folios: folios(15) }, Vec::new()),
        reference(1, Thing::Swap { id: 23, entries: Some(2304), devices: vec![swap] }, Vec::new()),
        reference(1, Thing::CssSet, vec![held(4201, "true", unreaped)]),
        reference(1, Thing::CssSet, vec![held(4242, "sleep", How::InNamespace)]),
        reference(1, Thing::CssSet, vec![held(4243, "perf", How::PerfEvent { fd: 9 })]),
        socket(None, vec![held(4242, "sleep", How::Open { fd: 8 })], false),
        socket(None, vec![Holder { process: None, how: How::InFlight { socket: 90_211 } }], false),
        socket(None, Vec::new(), true),
        socket(
            Some(net(
                true,
                vec![Holder { process: None, how: How::Mounted { point: bytes("/run/netns/web") } }],
            )),
            Vec::new(),
            false,
        ),
        reference(
            1,
            Thing::Notify { kind: Notify::Inotify },
            vec![held(4242, "sleep", How::Open { fd: 10 })],
        ),
        reference(1, Thing::Notify { kind: Notify::Fanotify }, vec![held(611, "av", How::Open { fd: 4 })]),
        reference(
            1,
            Thing::Writeback {
                device: bytes("8:0"),
                dirty_inodes: 1,
                attached_inodes: Some(0),
                files: vec![dirty_file],
            },
            Vec::new(),
        ),
        reference(
            1,
            Thing::Writeback {
                device: bytes("7:0"),
                dirty_inodes: 0,
                attached_inodes: Some(1),
                files: vec![kept_file],
            },
            Vec::new(),
        ),
        reference(1, Thing::ChargeStock { cpu: 0, pages: Some(48) }, Vec::new()),
        reference(1, Thing::ChargeStock { cpu: 3, pages: Some(0) }, Vec::new()),
        reference(
            1,
            Thing::Child {
                key: Key { css: 0xff11_0000_0001_6000, serial: 4712 },
                name: Some(bytes("init.scope")),
                dying: Some(true),
            },
            Vec::new(),
        ),
        reference(
            1,
            Thing::Child {
                key: Key { css: 0xff11_0000_0001_7000, serial: 0 },
                name: None,
                dying: Some(true),
            },
            Vec::new(),
        ),
        reference(2, Thing::Directory { name: Some(bytes("web")) }, Vec::new()),
        reference(1, Thing::KernelMemory { folios: folios(9) }, Vec::new()),
        reference(1, Thing::KernelMemory { folios: folios(0) }, Vec::new()),
        reference(1, Thing::Mm, vec![held(4242, "sleep", How::Task)]),
        reference(1, Thing::SlabCache { name: bytes("dentry(23:web)") }, Vec::new()),
        reference(
            1,
            Thing::BpfMap { id: Some(31), name: bytes("counts") },
            vec![held(900, "agent", How::Open { fd: 11 })],
        ),
    ]
}

fn file_of(reference: Reference) -> File {
    match reference.thing {
        Thing::File { file, .. } => file,
        other => panic!("{other:?} is no file"),
    }
}

/// Names that want to be more than names.
pub fn hostile() -> Vec<Reference> {
    let names = [
        "/$(touch canary)",
        "/`touch canary`",
        "/it's; touch canary #",
        "/-rf",
        "/new\nline",
        "/\u{1b}[2Jescape",
        "/right\u{202e}to left",
        "/d\nir/plain",
    ];
    let mut references: Vec<Reference> =
        names.iter().zip(0..).map(|(name, at)| file(FileKind::Tmpfs, name, 20 - at)).collect();
    references.push(with(file(FileKind::Regular, "/", 2), |file, _| {
        file.path = Some(Box::from(&b"/\xff\xfe"[..]))
    }));
    let comm = Process { pid: 4242, comm: Box::from(&b"\x1b[31mred\xff"[..]) };
    let holder = Holder { process: Some(comm), how: How::Open { fd: 3 } };
    references.push(reference(1, Thing::Notify { kind: Notify::Inotify }, vec![holder]));
    references
}
