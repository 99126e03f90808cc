//! Open files: every file in every table of descriptors, read from kernel memory. (/proc/PID/fd would take
//! CAP_SYS_PTRACE.)

use std::ops::Range;

use foldhash::{HashMap, HashMapExt as _};
use memcg_trace_common::ABSENT;

use super::{
    files::file_systems,
    pass::Pass,
    tasks::{Tasks, Thread},
};
use crate::{
    cause::{Holder, How},
    kernel::memory::{Members, MemoryError},
};

/// Descriptors of one table that are read: `nr_open` (fs/file.c) allows no more unless somebody raised it.
const FDS_MAX: usize = 1 << 20;
/// The same of all tables: what a table says of itself may be torn, and tenants make many large ones.
const ALL_FDS_MAX: usize = 1 << 24;
/// Descriptors by which a process is told to have the same file. It can have a million of them, and a file many memcgs.
const SAME_FILE_MAX: usize = 16;

/// One open file (`struct file`), whoever has it.
#[derive(Clone, Debug)]
pub(super) struct OpenFile {
    pub inode: u64,
    /// Of the inode.
    pub number: u64,
    /// `file.private_data`
    pub private: u64,
    /// `inode.i_private`
    pub inode_private: u64,
    pub dentry: u64,
    file_system: usize,
    /// A process and its descriptor.
    fds: Vec<(usize, u32)>,
    /// Sockets in whose queues a descriptor of it waits, each by its number among the files.
    queues: Vec<usize>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct OpenFiles<'a> {
    files: Vec<OpenFile>,
    /// One thread for each table of descriptors.
    tasks: Vec<&'a Thread>,
    file_systems: Vec<Box<[u8]>>,
    by_inode: HashMap<u64, Vec<usize>>,
    by_address: HashMap<u64, usize>,
}

impl<'a> OpenFiles<'a> {
    /// Reads all tables that tasks have.
    pub fn read(pass: &mut Pass<'_>, tasks: &'a Tasks) -> Result<Self, MemoryError> {
        let layout = pass.layout;
        if [layout.file.inode, layout.files.table, layout.table.count, layout.table.files].contains(&ABSENT) {
            pass.unread("open files", "BTF does not describe them");
            return Ok(Self::default());
        }
        let mut tables: Vec<(u64, &Thread)> =
            tasks.by(|task| task.files).into_iter().map(|(files, tasks)| (files, tasks[0])).collect();
        tables.sort_unstable_by_key(|(_, task)| (task.tgid, task.address));
        let addresses: Vec<u64> = tables.iter().map(|(files, _)| *files).collect();
        let fdts = pass.memory.pointers(&addresses, layout.files.table)?;
        let rows = pass.memory.rows(&fdts, &Members::of(&[layout.table.count, layout.table.files]))?;
        let mut fds: HashMap<u64, Vec<(usize, u32)>> = HashMap::new();
        let mut left = ALL_FDS_MAX;
        for table in 0..tables.len() {
            let count = rows.get::<u32>(table, layout.table.count).unwrap_or(0) as usize;
            if pass.is_late("open files") {
                break;
            }
            let most = FDS_MAX.min(left);
            if count > most {
                pass.unread("some open files", format!("a process has room for {count}"));
            }
            left -= count.min(most);
            let files = pass.memory.array(rows.pointer(table, layout.table.files), count.min(most))?;
            for (fd, file) in files.into_iter().enumerate() {
                let Some(file @ 1..) = file else { continue };
                let known = fds.entry(file).or_default();
                if known.iter().rev().take_while(|(of, _)| *of == table).count() < SAME_FILE_MAX {
                    known.push((table, fd as u32));
                }
            }
        }
        let tasks = tables.into_iter().map(|(_, task)| task).collect();
        let mut open = Self { tasks, ..Self::default() };
        open.add(pass, fds.into_iter().collect())?;
        Ok(open)
    }

    /// Takes files whose descriptors wait in the queues of sockets: the files' addresses, and the numbers of the sockets' files.
    /// Answers with the numbers of those that were not known.
    pub fn queued(
        &mut self,
        pass: &mut Pass<'_>,
        queued: Vec<(u64, usize)>,
    ) -> Result<Range<usize>, MemoryError> {
        let known = self.files.len();
        let mut fresh: Vec<u64> = queued.iter().map(|(file, _)| *file).collect();
        fresh.sort_unstable();
        fresh.dedup();
        fresh.retain(|file| *file != 0 && !self.by_address.contains_key(file));
        self.add(pass, fresh.into_iter().map(|file| (file, Vec::new())).collect())?;
        for (file, socket) in queued {
            if let Some(file) = self.by_address.get(&file) {
                self.files[*file].queues.push(socket);
            }
        }
        Ok(known..self.files.len())
    }

    fn add(
        &mut self,
        pass: &mut Pass<'_>,
        mut files: Vec<(u64, Vec<(usize, u32)>)>,
    ) -> Result<(), MemoryError> {
        let layout = pass.layout;
        files.sort_unstable_by_key(|(file, _)| *file);
        let addresses: Vec<u64> = files.iter().map(|(file, _)| *file).collect();
        let members = Members::of(&[layout.file.inode, layout.file.private, layout.file.dentry]);
        let rows = pass.memory.rows(&addresses, &members)?;
        let inodes = rows.pointers(layout.file.inode);
        let members = [layout.inode.number, layout.inode.super_block, layout.inode.private];
        let inode_rows = pass.memory.rows(&inodes, &Members::of(&members))?;
        let super_blocks = inode_rows.pointers(layout.inode.super_block);
        let known = file_systems(pass.memory, layout, &super_blocks)?;
        for (row, (address, fds)) in files.into_iter().enumerate() {
            let Some(file_system) = known.get(&super_blocks[row]) else { continue };
            let index = self.file_systems.iter().position(|name| *name == file_system.name);
            let index = index.unwrap_or_else(|| {
                self.file_systems.push(file_system.name.clone());
                self.file_systems.len() - 1
            });
            self.by_inode.entry(inodes[row]).or_default().push(self.files.len());
            self.by_address.insert(address, self.files.len());
            self.files.push(OpenFile {
                inode: inodes[row],
                number: inode_rows.get(row, layout.inode.number).unwrap_or(0),
                private: rows.pointer(row, layout.file.private),
                inode_private: inode_rows.pointer(row, layout.inode.private),
                dentry: rows.pointer(row, layout.file.dentry),
                file_system: index,
                fds,
                queues: Vec::new(),
            });
        }
        Ok(())
    }

    pub fn iter(&self) -> impl Iterator<Item = &OpenFile> {
        self.files.iter()
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// The file of that number.
    pub fn file(&self, number: usize) -> &OpenFile {
        &self.files[number]
    }

    /// Those on file systems of this type.
    pub fn on<'b>(&'b self, file_system: &'b [u8]) -> impl Iterator<Item = &'b OpenFile> {
        self.numbers_on(file_system, 0..self.files.len()).map(|number| &self.files[number])
    }

    /// The numbers of those among some.
    pub fn numbers_on(&self, file_system: &[u8], among: Range<usize>) -> impl Iterator<Item = usize> {
        let index = self.file_systems.iter().position(|name| **name == *file_system);
        among.filter(move |number| Some(self.files[*number].file_system) == index)
    }

    /// Those of this inode.
    pub fn of(&self, inode: u64) -> impl Iterator<Item = &OpenFile> {
        self.by_inode.get(&inode).into_iter().flatten().map(|index| &self.files[*index])
    }

    /// Who has it, and by which descriptor; who can receive that, where it is in flight.
    pub fn holders(&self, tasks: &Tasks, file: &OpenFile) -> Vec<Holder> {
        let mut holders: Vec<Holder> = self
            .descriptors(file)
            .map(|(task, fd)| Holder { process: Some(tasks.process(task)), how: How::Open { fd } })
            .collect();
        for socket in file.queues.iter().map(|queue| &self.files[*queue]) {
            holders.extend(self.owners(tasks, socket, &How::InFlight { socket: socket.number }));
        }
        holders
    }

    /// Processes that have a socket, as holders of what is to be had through it only; a holder without a process, if there are
    /// none.
    pub fn owners(&self, tasks: &Tasks, socket: &OpenFile, how: &How) -> Vec<Holder> {
        let mut processes: Vec<_> =
            self.descriptors(socket).map(|(task, _)| Some(tasks.process(task))).collect();
        if processes.is_empty() {
            processes.push(None);
        }
        processes.into_iter().map(|process| Holder { process, how: how.clone() }).collect()
    }

    fn descriptors<'b>(&'b self, file: &'b OpenFile) -> impl Iterator<Item = (&'b Thread, u32)> {
        file.fds.iter().map(|(task, fd)| (self.tasks[*task], *fd))
    }
}
