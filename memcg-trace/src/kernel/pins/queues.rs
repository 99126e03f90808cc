//! What waits in the queues of unix sockets: descriptors of files (SCM_RIGHTS), connections that nobody has accepted, and what
//! closed sockets sent. A closed socket also lives as long as its peer does (`unix_peer`, net/unix/af_unix.c).
//!
//! What is in flight may be a socket with a queue of its own, so it goes round by round, each for all sockets at once.

use foldhash::{HashSet, HashSetExt as _};
use memcg_trace_common::ABSENT;

use super::{fds::OpenFiles, layout::PinLayout, pass::Pass};
use crate::kernel::memory::{Lists, Members, MemoryError};

/// `AF_UNIX`
pub(super) const AF_UNIX: u16 = 1;
/// `SCM_MAX_FD`: descriptors in one message.
const FILES_MAX: u16 = 253;
/// More messages than fit into all queues.
const MESSAGES_MAX: usize = 1 << 22;
/// Descriptors in flight: a user has no more than files may be open (`too_many_unix_fds`, net/unix/scm.c).
const IN_FLIGHT_MAX: usize = 1 << 21;
/// Descriptors of sockets with descriptors of sockets … in flight.
const ROUNDS_MAX: usize = 64;

/// A socket (`struct sock`), and the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    pub sock: u64,
    pub way: Way,
}

/// The number of a file that has the socket, or leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It is its own.
    File(usize),
    /// It has none, and waits in the queue of that one.
    Queue(usize),
    /// It has none, and is the peer of that one.
    Peer(usize),
    /// None is known.
    Table,
}

impl Way {
    fn number(self) -> Option<usize> {
        match self {
            Self::File(number) | Self::Queue(number) | Self::Peer(number) => Some(number),
            Self::Table => None,
        }
    }
}

/// All sockets that files lead to, each once. The files in flight become open files.
pub(super) fn read(pass: &mut Pass<'_>, open: &mut OpenFiles<'_>) -> Result<Vec<Reached>, MemoryError> {
    let mut reached = Vec::new();
    let mut seen = HashSet::new();
    let mut fresh = of_files(pass, open, open.numbers_on(b"sockfs", 0..open.len()).collect())?;
    for _ in 0..ROUNDS_MAX {
        fresh.retain(|reached| reached.sock != 0 && seen.insert(reached.sock));
        if fresh.is_empty() {
            return Ok(reached);
        }
        let (socks, files) = lead(pass, &fresh)?;
        reached.append(&mut fresh);
        let numbers = open.queued(pass, files)?;
        // One that has a file is known by it.
        fresh = of_files(pass, open, open.numbers_on(b"sockfs", numbers).collect())?;
        fresh.extend(socks);
    }
    pass.unread("some descriptors in flight", "they are in flight by sockets in flight, too deep to follow");
    Ok(reached)
}

/// The sockets of these files.
fn of_files(
    pass: &mut Pass<'_>,
    open: &OpenFiles<'_>,
    files: Vec<usize>,
) -> Result<Vec<Reached>, MemoryError> {
    let sockets: Vec<u64> = files.iter().map(|number| open.file(*number).private).collect();
    let socks = pass.memory.pointers(&sockets, pass.layout.socket.sock)?;
    Ok(socks.into_iter().zip(files).map(|(sock, file)| Reached { sock, way: Way::File(file) }).collect())
}

/// Files in flight, each with the number of the file through which the queue is reached.
type FilesInFlight = Vec<(u64, usize)>;

/// The sockets that unix sockets lead to, and the files whose descriptors wait in their queues, each with the number of the file
/// through which the queue is reached.
fn lead(pass: &mut Pass<'_>, from: &[Reached]) -> Result<(Vec<Reached>, FilesInFlight), MemoryError> {
    let PinLayout { sock, unix, message, control, rights, .. } = *pass.layout;
    if [sock.family, sock.queue, sock.queue_length, message.sock].contains(&ABSENT) {
        pass.unread("descriptors in flight", "BTF does not describe the queues of sockets");
        return Ok(Default::default());
    }
    let socks: Vec<u64> = from.iter().map(|reached| reached.sock).collect();
    let rows = pass.memory.rows(&socks, &Members::of(&[sock.family, sock.queue_length]))?;
    let is_unix = |row: &usize| rows.get(*row, sock.family) == Some(AF_UNIX);
    let of_unix: Vec<usize> = (0..from.len()).filter(is_unix).collect();
    let number = |row: usize| Some((socks[row], from[row].way.number()?));
    let unix_socks: Vec<(u64, usize)> = of_unix.iter().filter_map(|row| number(*row)).collect();
    let addresses: Vec<u64> = unix_socks.iter().map(|(sock, _)| *sock).collect();
    let peers = pass.memory.pointers(&addresses, unix.peer)?.into_iter().zip(unix_socks);
    let mut found: Vec<Reached> =
        peers.map(|(sock, (_, number))| Reached { sock, way: Way::Peer(number) }).collect();

    let holds = |row: &&usize| rows.get::<u32>(**row, sock.queue_length).unwrap_or(0) != 0;
    let queues: Vec<(u64, usize)> = of_unix.iter().filter(holds).filter_map(|row| number(*row)).collect();
    let heads: Vec<u64> = queues.iter().map(|(address, _)| address.wrapping_add(sock.queue.into())).collect();
    let lists = pass.memory.lists(&heads, Lists { node: 0, limit: MESSAGES_MAX })?;
    let (messages, numbers): (Vec<u64>, Vec<usize>) = lists
        .into_iter()
        .zip(queues)
        .flat_map(|(listed, (_, number))| listed.entries.into_iter().map(move |message| (message, number)))
        .unzip();
    let files = message.control.saturating_add(control.files);
    let rows = pass.memory.rows(&messages, &Members::of(&[message.sock, files]))?;
    let queued = rows.pointers(message.sock).into_iter().zip(&numbers);
    found.extend(queued.map(|(sock, number)| Reached { sock, way: Way::Queue(*number) }));
    let lists: Vec<(u64, usize)> =
        rows.pointers(files).into_iter().zip(numbers).filter(|(list, _)| *list != 0).collect();
    let addresses: Vec<u64> = lists.iter().map(|(list, _)| *list).collect();
    let counts = pass.memory.rows(&addresses, &Members::of(&[rights.count]))?;
    let mut in_flight = Vec::new();
    for (row, (list, number)) in lists.into_iter().enumerate() {
        if in_flight.len() >= IN_FLIGHT_MAX {
            pass.unread("some descriptors in flight", "there are too many of them");
            break;
        }
        let count = counts.get::<u16>(row, rights.count).unwrap_or(0).min(FILES_MAX);
        let files = pass.memory.array(list.wrapping_add(rights.files.into()), count.into())?;
        in_flight.extend(files.into_iter().flatten().map(|file| (file, number)));
    }
    Ok((found, in_flight))
}
