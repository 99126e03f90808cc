//! All tasks, threads included, and those that nobody has waited for.
//!
//! The way there is the root memcg: its cgroup's css_sets have tasks, and each task hangs in the ring of all. A task stays in
//! that ring until it is reaped (`__unhash_process`, kernel/exit.c).

use foldhash::{HashMap, HashMapExt as _, HashSet};
use memcg_trace_common::ABSENT;

use super::pass::Pass;
use crate::{
    cause::{Holder, How, Process},
    kernel::memory::{Lists, Members, MemoryError},
};

/// `TASK_COMM_LEN`
const COMM: u32 = 16;
/// `EXIT_DEAD | EXIT_ZOMBIE` (include/linux/sched.h)
const EXITED: u32 = 0x30;
/// `PID_MAX_LIMIT`: as many tasks as there can be.
const TASKS_MAX: usize = 1 << 22;

/// One thread.
#[derive(Clone, Debug)]
pub(super) struct Thread {
    pub address: u64,
    pub tgid: u32,
    pub comm: Box<[u8]>,
    pub exited: bool,
    pub leader: u64,
    pub parent: u64,
    pub mm: u64,
    pub files: u64,
    pub namespaces: u64,
    pub css_set: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    tasks: Vec<Thread>,
    by_address: HashMap<u64, usize>,
}

impl Tasks {
    pub fn read(pass: &mut Pass<'_>) -> Result<Self, MemoryError> {
        let layout = pass.layout.task;
        let Some(first) = first(pass)? else {
            pass.unread("tasks and what they have open", "the ring of all tasks was not found");
            return Ok(Self::default());
        };
        let ring = Lists { node: layout.ring, limit: TASKS_MAX };
        let listed = pass.memory.list(first.wrapping_add(layout.ring.into()), ring)?;
        if !listed.complete {
            pass.unread("some tasks", "the ring of all tasks changed while it was read; look again");
        }
        let mut leaders = listed.entries;
        leaders.push(first);
        let threads = threads(pass, &leaders)?;
        let mut tasks = Self::default();
        tasks.add(pass, &leaders)?;
        tasks.add(pass, &threads)?;
        Ok(tasks)
    }

    /// Those that are called as we are, group leaders only: we are one of them.
    pub fn named_as_we(pass: &mut Pass<'_>) -> Result<Self, MemoryError> {
        let own = std::fs::read("/proc/self/comm").unwrap_or_default();
        let own = own.strip_suffix(b"\n").unwrap_or(&own);
        let layout = pass.layout.task;
        let Some(first) = first(pass)? else { return Ok(Self::default()) };
        let ring = Lists { node: layout.ring, limit: TASKS_MAX };
        let mut leaders = pass.memory.list(first.wrapping_add(layout.ring.into()), ring)?.entries;
        leaders.push(first);
        let rows = pass.memory.rows(&leaders, &Members::default().with(layout.comm, COMM))?;
        let named = |row: &usize| rows.text(*row, layout.comm, COMM as usize).as_deref() == Some(own);
        let ours: Vec<u64> = (0..leaders.len()).filter(named).map(|row| leaders[row]).collect();
        let mut tasks = Self::default();
        tasks.add(pass, &ours)?;
        Ok(tasks)
    }

    fn add(&mut self, pass: &mut Pass<'_>, addresses: &[u64]) -> Result<(), MemoryError> {
        let layout = &pass.layout.task;
        let members = [
            layout.tgid,
            layout.exit_state,
            layout.leader,
            layout.parent,
            layout.mm,
            layout.files,
            layout.namespaces,
            layout.css_set,
        ];
        let rows = pass.memory.rows(addresses, &Members::of(&members).with(layout.comm, COMM))?;
        for (row, &address) in addresses.iter().enumerate() {
            let Some(tgid) = rows.get(row, layout.tgid) else { continue };
            self.by_address.entry(address).or_insert(self.tasks.len());
            self.tasks.push(Thread {
                address,
                tgid,
                comm: rows.text(row, layout.comm, COMM as usize).unwrap_or_default(),
                exited: rows.get::<u32>(row, layout.exit_state).unwrap_or(0) & EXITED != 0,
                leader: rows.pointer(row, layout.leader),
                parent: rows.pointer(row, layout.parent),
                mm: rows.pointer(row, layout.mm),
                files: rows.pointer(row, layout.files),
                namespaces: rows.pointer(row, layout.namespaces),
                css_set: rows.pointer(row, layout.css_set),
            });
        }
        Ok(())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Thread> {
        self.tasks.iter()
    }

    pub fn at(&self, address: u64) -> Option<&Thread> {
        self.by_address.get(&address).map(|index| &self.tasks[*index])
    }

    /// The process that a thread belongs to, by the name of its leader.
    pub fn process(&self, task: &Thread) -> Process {
        let leader = self.at(task.leader).unwrap_or(task);
        Process { pid: task.tgid, comm: leader.comm.clone() }
    }

    /// A process as one that has something because a thread of it is what it is.
    pub fn holder(&self, task: &Thread) -> Holder {
        let parent = self.at(task.parent).filter(|_| task.exited);
        let how = parent.map_or(How::Task, |parent| How::Unreaped { parent: self.process(parent) });
        Holder { process: Some(self.process(task)), how }
    }

    /// Processes by what they have: one of the pointers of their threads.
    pub fn by(&self, what: impl Fn(&Thread) -> u64) -> HashMap<u64, Vec<&Thread>> {
        let mut tasks: HashMap<u64, Vec<&Thread>> = HashMap::new();
        for task in self.iter().filter(|task| what(task) != 0) {
            tasks.entry(what(task)).or_default().push(task);
        }
        tasks
    }
}

/// A thread group leader.
fn first(pass: &mut Pass<'_>) -> Result<Option<u64>, MemoryError> {
    let (task, css_set) = (pass.layout.task, pass.layout.css_set);
    let cgroup = pass.root;
    if [cgroup, task.ring.into(), task.in_css_set.into()]
        .into_iter()
        .any(|at| at == 0 || at == u64::from(ABSENT))
    {
        return Ok(None);
    }
    let head = cgroup.wrapping_add(pass.layout.cgroup.css_sets.into());
    let css_sets = pass.memory.list(head, Lists { node: css_set.in_cgroup, limit: TASKS_MAX })?;
    for css_set in css_sets.entries {
        let head = css_set.wrapping_add(pass.layout.css_set.tasks.into());
        let node = pass.memory.pointers(&[head], 0)?[0];
        if node != 0 && node != head {
            let task = node.wrapping_sub(pass.layout.task.in_css_set.into());
            let leader = pass.memory.pointers(&[task], pass.layout.task.leader)?[0];
            return Ok(Some(leader).filter(|leader| *leader != 0));
        }
    }
    Ok(None)
}

/// The threads of these leaders that are no leaders.
fn threads(pass: &mut Pass<'_>, leaders: &[u64]) -> Result<Vec<u64>, MemoryError> {
    let (task, signal) = (pass.layout.task, pass.layout.signal);
    let signals = pass.memory.pointers(leaders, task.signal)?;
    let counts = pass.memory.rows(&signals, &Members::of(&[signal.count]))?;
    let has_more = |row: usize| counts.get::<u32>(row, signal.count).is_none_or(|count| count > 1);
    let groups = signals.iter().enumerate().filter(|(row, signal)| **signal != 0 && has_more(*row));
    let heads: Vec<u64> = groups.map(|(_, address)| address.wrapping_add(signal.threads.into())).collect();
    if signal.threads == ABSENT || task.thread == ABSENT {
        pass.unread("threads", "BTF does not describe them");
        return Ok(Vec::new());
    }
    let lists = pass.memory.lists(&heads, Lists { node: task.thread, limit: TASKS_MAX })?;
    let mut threads: Vec<u64> = lists.into_iter().flat_map(|listed| listed.entries).collect();
    let leaders: HashSet<u64> = leaders.iter().copied().collect();
    // Groups that share threads are none, and were read while they changed.
    threads.sort_unstable();
    threads.dedup();
    threads.retain(|thread| !leaders.contains(thread));
    Ok(threads)
}
