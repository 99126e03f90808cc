//! What pins a dying memcg: from facts about its references to named parts that sum up. Pure; the readers are in
//! `kernel/pins/`.
//!
//! [`facts`](Look) is what one look found, [`Explanation`] what it means, [`Act`] what helps, [`Pinned`] its short form. Where no
//! evidence can be had, a [`Hint`] says what the counters make likely.

mod act;
mod behind;
mod explanation;
mod facts;
mod hint;
mod pin;
mod pinned;
mod reach;
mod shell;
mod what;

pub use act::{Act, ActKind};
pub use behind::Behind;
pub use explanation::{ExplainedPart, Explanation, RefCount, explain};
pub use facts::{
    File, FileKind, Folios, Holder, How, IpcNamespace, KernelPages, Look, MapCompared, Mount, NetNamespace,
    Notify, Process, Reference, Referenced, Socket, SwapDevice, Thing, Unread,
};
pub use hint::Hint;
pub use pin::Pin;
pub use pinned::{PinTotal, Pinned, PinnedBy, pin_totals};
pub use reach::path_of;
pub use shell::Word;
pub use what::name_of_file;
