use super::*;
use crate::{
    cause::facts::{File, FileKind, Folios, How, IpcNamespace, Mount, NetNamespace, Notify, Process, Socket},
    event::Key,
};

fn bytes(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

fn holder(pid: u32, how: How) -> Holder {
    Holder { process: Some(Process { pid, comm: bytes("sh") }), how }
}

fn open(pid: u32) -> Holder {
    holder(pid, How::Open { fd: 3 })
}

/// `/mnt/PATH`; nothing of it is deleted.
fn file(kind: FileKind, path: &str) -> File {
    let filesystem = match kind {
        FileKind::Regular => "ext4",
        _ => "tmpfs",
    };
    File {
        kind,
        device: (8, 1),
        inode: 77,
        filesystem: bytes(filesystem),
        mount: Some(Mount { point: bytes("/mnt"), pid: None, root: bytes("/") }),
        path: Some(bytes(path)),
        links: Some(1),
        bytes: None,
        cached_pages: None,
        ipc: None,
    }
}

fn deleted(file: File) -> File {
    File { links: Some(0), ..file }
}

const CLEAN: Folios = Folios {
    folios: 10,
    pages: 10,
    dirty: 0,
    writeback: 0,
    mapped: Some(0),
    mlocked: 0,
    swapcache: 0,
    large: 0,
    hugetlb: 0,
};

fn on(thing: Thing, holders: &[Holder]) -> Act {
    Act::on(&Behind::Thing(thing), 10, holders)
}

fn of_file(file: File, folios: Folios, holders: &[Holder]) -> (ActKind, String, u64) {
    short(on(Thing::File { file, folios }, holders))
}

fn short(act: Act) -> (ActKind, String, u64) {
    (act.kind, act.command.unwrap_or_default(), act.frees)
}

#[test]
fn page_cache_is_dropped_file_by_file() {
    use ActKind::{DropCache, End, Unknown, Wait};
    let regular = |path| file(FileKind::Regular, path);
    let dirty = Folios { dirty: 1, ..CLEAN };
    let mapped = |mapped| Folios { mapped: Some(mapped), ..CLEAN };
    let dd = "dd if=/mnt/a iflag=nocache count=0";
    let by_inode = r"find /mnt -xdev -inum 77 -exec dd if={} iflag=nocache count=0 \;";
    let synced = r"find /mnt -xdev -inum 77 -exec sync {} \; -exec dd if={} iflag=nocache count=0 \;";
    let synced_by_path = "sync /mnt/a && dd if=/mnt/a iflag=nocache count=0";
    let table = [
        (regular("/a"), CLEAN, vec![], (DropCache, dd, 10)),
        (regular("/a"), Folios { writeback: 1, ..CLEAN }, vec![], (DropCache, synced_by_path, 10)),
        (regular("/a"), Folios { dirty: 1, writeback: 1, ..CLEAN }, vec![], (DropCache, synced_by_path, 10)),
        // Whoever has it open keeps the file, not its pages.
        (regular("/a"), CLEAN, vec![open(5)], (DropCache, dd, 10)),
        (regular("/a b"), CLEAN, vec![], (DropCache, "dd if='/mnt/a b' iflag=nocache count=0", 10)),
        (regular("/a"), dirty, vec![], (DropCache, "sync /mnt/a && dd if=/mnt/a iflag=nocache count=0", 10)),
        (regular("/a\nb"), CLEAN, vec![], (DropCache, by_inode, 10)),
        (regular("/a\nb"), dirty, vec![], (DropCache, synced, 10)),
        (File { path: None, ..regular("/a") }, CLEAN, vec![], (DropCache, by_inode, 10)),
        (File { mount: None, ..regular("/a") }, CLEAN, vec![], (Unknown, "", 0)),
        // Mapped folios stay for as long as somebody maps them.
        (regular("/a"), mapped(4), vec![holder(5, How::Mapped)], (DropCache, dd, 6)),
        (
            regular("/a"),
            mapped(10),
            vec![holder(5, How::Mapped)],
            (End, "kill 5; sleep 1; dd if=/mnt/a iflag=nocache count=0", 10),
        ),
        // No directory names it, but a descriptor.
        (
            deleted(regular("/a")),
            CLEAN,
            vec![open(5)],
            (DropCache, "dd if=/proc/5/fd/3 iflag=nocache count=0", 10),
        ),
        (deleted(regular("/a")), CLEAN, vec![holder(5, How::Mapped)], (End, "kill 5", 10)),
        (deleted(regular("/a")), CLEAN, vec![], (Wait, "", 10)),
    ];
    for (file, folios, holders, (kind, command, frees)) in table {
        let row = format!("{file:?} {holders:?}");
        assert_eq!(of_file(file, folios, &holders), (kind, command.to_owned(), frees), "{row}");
    }
}

/// A descriptor alone can be closed; a process that has more of it has to end.
#[test]
fn closing_is_advised_where_it_is_enough() {
    let memfd = || Thing::File { file: file(FileKind::Memfd, "memfd:x"), folios: CLEAN };
    let advice = |holders: &[Holder]| on(memfd(), holders).advice;
    assert_eq!(advice(&[open(5)]).as_deref(), Some("or have pid 5 close fd 3"));
    assert_eq!(advice(&[open(5), holder(5, How::Mapped)]), None);
    let other = [open(5), holder(6, How::Mapped)];
    assert_eq!(advice(&other).as_deref(), Some("or have pid 5 close fd 3"));
}

/// What stays and what is lost is said beside the command.
#[test]
fn what_a_command_does_not_reach_and_what_it_costs() {
    let on_file = |kind, mapped, holders: &[Holder]| {
        let folios = Folios { mapped: Some(mapped), ..CLEAN };
        on(Thing::File { file: file(kind, "/a"), folios }, holders)
    };
    let regular = |mapped| on_file(FileKind::Regular, mapped, &[]).advice;
    let stay = "folios that are mapped stay until nobody maps them: 4".to_owned();
    assert_eq!([regular(0), regular(4)], [None, Some(stay)]);
    let mapped = on_file(FileKind::Tmpfs, 0, &[holder(5, How::Mapped)]);
    assert_eq!(mapped.cost, "those processes, and what is in the file");
    let gone = on(Thing::File { file: deleted(file(FileKind::Tmpfs, "/a")), folios: CLEAN }, &[]);
    assert_eq!(
        gone.advice.as_deref(),
        Some("nothing: it goes by itself when the kernel has taken the deleted file down")
    );
    let unseen = Holder { process: None, how: How::InFlight { socket: 9 } };
    let gone = on(Thing::File { file: deleted(file(FileKind::Tmpfs, "/a")), folios: CLEAN }, &[unseen]);
    assert_eq!((gone.kind, gone.command), (ActKind::Unknown, None));
}

#[test]
fn shmem_goes_with_its_name_and_with_who_has_it() {
    use ActKind::{End, FlushDevice, Remove, RemoveSegment, Truncate, Unknown, Wait};
    let truncate = "find -L /proc/5/fd/3 -maxdepth 0 -inum 77 -fstype tmpfs -exec truncate -s 0 {} +";
    let tmpfs = |path| file(FileKind::Tmpfs, path);
    let (memfd, anon) = (file(FileKind::Memfd, "memfd:x"), file(FileKind::SharedAnon, "dev/zero"));
    let segment = || file(FileKind::SysvShm, "SYSV00000000");
    let segment_of = |namespace| File { ipc: Some(namespace), ..segment() };
    let other = Mount { point: bytes("/data"), pid: Some(9), root: bytes("/") };
    let in_part = Mount { point: bytes("/mnt"), pid: None, root: bytes("/data") };
    let mapper = || holder(5, How::Mapped);
    let table = [
        (tmpfs("/a"), vec![], (Remove, "rm /mnt/a", 10)),
        (tmpfs("/$(reboot)"), vec![], (Remove, "rm '/mnt/$(reboot)'", 10)),
        (tmpfs("/d\n/a"), vec![], (Remove, "find /mnt -xdev -inum 77 -delete", 10)),
        (File { mount: Some(other), ..tmpfs("/a") }, vec![], (Remove, "rm /proc/9/root/data/a", 10)),
        (File { mount: None, ..tmpfs("/a") }, vec![], (Unknown, "", 0)),
        // One name of three would free nothing.
        (
            File { links: Some(3), ..tmpfs("/a/b") },
            vec![],
            (Remove, "find /mnt -xdev -samefile /mnt/a/b -delete", 10),
        ),
        (
            File { links: Some(3), mount: Some(in_part), ..tmpfs("/data/a") },
            vec![],
            (Remove, "find /mnt -xdev -samefile /mnt/a -delete", 0),
        ),
        (tmpfs("/a"), vec![open(5)], (Truncate, truncate, 10)),
        (tmpfs("/a"), vec![open(5), mapper()], (End, "rm /mnt/a; kill 5", 10)),
        (deleted(tmpfs("/a")), vec![open(5)], (Truncate, truncate, 10)),
        (deleted(tmpfs("/a")), vec![mapper()], (End, "kill 5", 10)),
        (deleted(tmpfs("/a")), vec![], (Wait, "", 10)),
        (file(FileKind::Hugetlbfs, "/a"), vec![], (Remove, "rm /mnt/a", 10)),
        (memfd.clone(), vec![open(5)], (End, "kill 5", 10)),
        (memfd, vec![], (Unknown, "", 0)),
        (anon, vec![mapper(), holder(6, How::Mapped)], (End, "kill 5 6", 10)),
        (segment(), vec![], (RemoveSegment, "ipcrm -m 77", 10)),
        (segment(), vec![holder(5, How::Attached)], (End, "ipcrm -m 77; kill 5", 10)),
        (segment_of(IpcNamespace::Ours), vec![], (RemoveSegment, "ipcrm -m 77", 10)),
        (
            segment_of(IpcNamespace::Of(9)),
            vec![],
            (RemoveSegment, "nsenter --ipc=/proc/9/ns/ipc ipcrm -m 77", 10),
        ),
        (segment_of(IpcNamespace::Unseen), vec![], (Unknown, "", 0)),
        (segment_of(IpcNamespace::Unseen), vec![holder(5, How::Attached)], (End, "kill 5", 0)),
        (file(FileKind::BlockDevice, ""), vec![], (FlushDevice, "blockdev --flushbufs /dev/block/8:1", 10)),
    ];
    for (file, holders, (kind, command, frees)) in table {
        let row = format!("{file:?} {holders:?}");
        assert_eq!(of_file(file, CLEAN, &holders), (kind, command.to_owned(), frees), "{row}");
    }
}

#[test]
fn whoever_has_it_lets_go() {
    use ActKind::{End, Umount, Unknown};
    let unreaped = |parent| {
        let parent = Process { pid: parent, comm: bytes("sh") };
        holder(50, How::Unreaped { parent })
    };
    let mounted = |point| Holder { process: None, how: How::Mounted { point: bytes(point) } };
    let many: Vec<Holder> = (10..19).map(open).collect();
    let table: &[(&[Holder], ActKind, &str, u64)] = &[
        (&[], Unknown, "", 0),
        // The one that has ended cannot be ended: its parent is.
        (&[unreaped(40)], End, "kill 40", 10),
        (&[unreaped(1)], Unknown, "", 0),
        (&[holder(1, How::Task)], Unknown, "", 0),
        (&[open(5), open(5), holder(6, How::InNamespace)], End, "kill 5 6", 10),
        (&[holder(5, How::PerfEvent { fd: 4 })], End, "kill 5", 10),
        (&[mounted("/run/cgroup ns")], Umount, "umount '/run/cgroup ns'", 10),
        (&[mounted("/run/ns"), open(5)], End, "kill 5; umount /run/ns", 10),
        (&[mounted("/run/\n")], Unknown, "", 0),
        // What one command does not reach is not said to be freed.
        (&[open(5), unreaped(1)], End, "kill 5", 0),
        (&[Holder { process: None, how: How::InFlight { socket: 9 } }], Unknown, "", 0),
        (&[holder(5, How::Mounted { point: bytes("/x") })], Unknown, "", 0),
        (&[Holder { process: None, how: How::Queued { socket: 9 } }], Unknown, "", 0),
        (&[Holder { process: None, how: How::Peer { socket: 9 } }], Unknown, "", 0),
        (&many, Unknown, "", 0),
        (&many[1..], End, "kill 11 12 13 14 15 16 17 18", 10),
    ];
    for (holders, kind, command, frees) in table {
        let act = on(Thing::CssSet, holders);
        assert!(act.command.is_some() || act.advice.is_some(), "{holders:?}");
        assert_eq!(short(act), (*kind, (*command).to_owned(), *frees), "{holders:?}");
    }
}

fn swap(devices: &[(&str, u64)]) -> Thing {
    let device = |(device, entries): &(&str, u64)| SwapDevice {
        device: bytes(device),
        entries: *entries,
        files: Vec::new(),
        processes: Vec::new(),
    };
    Thing::Swap { id: 23, entries: None, devices: devices.iter().map(device).collect() }
}

/// `mount`: of a file that is dirty.
fn writeback(dirty_inodes: u64, mount: Option<&str>) -> Thing {
    let files = mount.map(|point| {
        let mount = Some(Mount { point: bytes(point), pid: None, root: bytes("/") });
        File { mount, ..file(FileKind::Regular, "/a") }
    });
    Thing::Writeback {
        device: bytes("8:0"),
        dirty_inodes,
        attached_inodes: None,
        files: files.into_iter().collect(),
    }
}

#[test]
fn what_else_helps_against_swap_goes_by_who_has_it() {
    const UNKNOWN: &str = "or end the processes and remove the tmpfs files that are swapped out";
    let process = (Process { pid: 5, comm: bytes("tail") }, 3);
    let file = (file(FileKind::Tmpfs, "/a"), 3);
    let table = [
        (vec![], vec![], UNKNOWN),
        (vec![process.clone()], vec![], "or end the processes that have these pages"),
        (vec![], vec![file.clone()], "or remove the files that have these pages"),
        (vec![process], vec![file], UNKNOWN),
    ];
    for (processes, files, expected) in table {
        let device = |entries| SwapDevice {
            device: bytes("/dev/dm-1"),
            entries,
            files: files.clone(),
            processes: processes.clone(),
        };
        let advice =
            |entries| on(Thing::Swap { id: 23, entries: None, devices: vec![device(entries)] }, &[]).advice;
        assert_eq!(advice(3).as_deref(), Some(expected));
        // Some pages are of others.
        assert_eq!(advice(7).as_deref(), Some(UNKNOWN));
    }
}

/// A socket of the initial network namespace.
fn socket(kernel_socket: bool) -> Thing {
    Thing::Socket(Socket {
        protocol: bytes("TCP"),
        family: 2,
        local: None,
        remote: None,
        state: 4,
        inode: None,
        net: Some(NetNamespace { inode: 1, is_initial: true, kernel_socket, holders: Vec::new() }),
        orphan: false,
    })
}

#[test]
fn the_rest_by_its_kind() {
    use ActKind::{DropInodes, End, Explain, Swapoff, Sync, Unknown, Wait};
    let orphan = match socket(false) {
        Thing::Socket(socket) => Thing::Socket(Socket { net: None, orphan: true, ..socket }),
        other => other,
    };
    let tunnel = socket(true);
    let child = Thing::Child { key: Key { css: 1, serial: 4712 }, name: None, dying: Some(true) };
    let key = Key { css: 0xffff_8800_1234_0000, serial: 0 };
    let without_serial = Thing::Child { key, name: None, dying: Some(true) };
    let folios = CLEAN;
    let table = [
        (Thing::Anon { folios }, vec![holder(5, How::Mapped)], (End, "kill 5", 10)),
        (Thing::Anon { folios }, vec![], (Unknown, "", 0)),
        (Thing::Detached { folios }, vec![], (Wait, "", 10)),
        (Thing::KernelPages { kind: KernelPages::PageTable, folios }, vec![], (Unknown, "", 0)),
        (
            Thing::KernelPages { kind: KernelPages::PageTable, folios },
            vec![holder(5, How::Mapped)],
            (End, "kill 5", 10),
        ),
        (swap(&[]), vec![], (Swapoff, "swapoff -a && swapon -a", 10)),
        (
            swap(&[("/dev/dm-1", 3), ("/swap file", 4), ("/unused", 0)]),
            vec![],
            (
                Swapoff,
                "swapoff /dev/dm-1 && swapon /dev/dm-1 && swapoff '/swap file' && swapon '/swap file'",
                10,
            ),
        ),
        // No word for it: not by name, then.
        (swap(&[("/a\nb", 3)]), vec![], (Swapoff, "swapoff -a && swapon -a", 10)),
        (tunnel.clone(), vec![], (Unknown, "", 0)),
        (tunnel, vec![open(5)], (End, "kill 5", 10)),
        (socket(false), vec![open(5)], (End, "kill 5", 10)),
        (orphan.clone(), vec![], (Wait, "", 10)),
        (orphan, vec![open(5)], (End, "kill 5", 10)),
        (Thing::Notify { kind: Notify::Inotify }, vec![open(5)], (End, "kill 5", 10)),
        (writeback(1, None), vec![], (Sync, "sync", 10)),
        (writeback(1, Some("/mnt/it's")), vec![], (Sync, r"sync -f '/mnt/it'\''s'", 10)),
        (writeback(0, None), vec![], (DropInodes, "echo 2 > /proc/sys/vm/drop_caches", 10)),
        (child, vec![], (Explain, "memcg-trace explain 4712", 0)),
        (without_serial, vec![], (Explain, "memcg-trace explain 0xffff880012340000", 0)),
        (Thing::Directory { name: None }, vec![], (Unknown, "", 0)),
        (Thing::KernelMemory { folios }, vec![], (Unknown, "", 0)),
        (Thing::KernelMemory { folios: Folios::default() }, vec![], (Unknown, "", 0)),
        (Thing::Mm, vec![holder(5, How::Task)], (End, "kill 5", 10)),
        (Thing::SlabCache { name: bytes("dentry") }, vec![], (Unknown, "", 0)),
        (Thing::BpfMap { id: Some(3), name: bytes("m") }, vec![], (Unknown, "", 0)),
        (Thing::BpfMap { id: Some(3), name: bytes("m") }, vec![open(5)], (End, "kill 5", 10)),
    ];
    for (thing, holders, (kind, command, frees)) in table {
        let row = format!("{thing:?} {holders:?}");
        let act = on(thing, &holders);
        assert!(act.command.is_some() || act.advice.is_some(), "{row}");
        assert_eq!(short(act), (kind, command.to_owned(), frees), "{row}");
    }
}

#[test]
fn clean_writeback_says_what_ends_it_where_inodes_are_switched() {
    let table = [
        (None, "or umount that file system"),
        (
            Some(1),
            "or umount that file system; else it goes with the file, or when another cgroup is removed",
        ),
    ];
    for (attached_inodes, advice) in table {
        let thing =
            Thing::Writeback { device: bytes("7:0"), dirty_inodes: 0, attached_inodes, files: Vec::new() };
        assert_eq!(on(thing, &[]).advice.as_deref(), Some(advice), "{attached_inodes:?}");
    }
}

#[test]
fn where_no_command_helps_a_sentence_says_what_would() {
    let child = |dying| Thing::Child { key: Key { css: 1, serial: 4712 }, name: None, dying };
    let map = |id| Thing::BpfMap { id, name: bytes("m") };
    let with_the_child = "it goes with the child, whose own pins are what counts";
    let table = [
        (socket(true), "the kernel made it for itself: it goes with the device or the module"),
        (socket(false), "nobody was found who has it"),
        (child(Some(false)), "the child is alive: it goes with the child's cgroup"),
        (child(Some(true)), with_the_child),
        (child(None), with_the_child),
        (map(Some(3)), "bpftool map show id 3 tells who has it"),
        (map(None), "bpftool map tells who has which map"),
    ];
    for (thing, advice) in table {
        let row = format!("{thing:?}");
        assert_eq!(on(thing, &[]).advice.as_deref(), Some(advice), "{row}");
    }
}
