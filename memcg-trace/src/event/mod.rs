//! Decodes bytes of the perf buffer or of a recording into an [`Event`].

mod identity;

pub use identity::{ID_LIMIT, Key, Task, parent_of};

use memcg_trace_common::{EventHeader, Field, Hook, NAME_MAX};
use thiserror::Error;
use zerocopy::FromBytes as _;

/// One event: the facts that a hook read at the instant it fired. A fact that it could not read is `None`, never zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    header: EventHeader,
    hook: Hook,
    /// Name of the directory (not the path); raw bytes, empty if the hook has none.
    name: Box<[u8]>,
}

/// Bytes that are not an event of this ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("event of {0} bytes is shorter than its header of {header}", header = size_of::<EventHeader>())]
    Short(usize),
    #[error("event names hook {0}, which does not exist")]
    Hook(u16),
    #[error("event says that its name has {claimed} bytes, but carries {carried}")]
    Name { claimed: usize, carried: usize },
    #[error("event has a name of {0} bytes, more than the {NAME_MAX} of a directory")]
    TooLong(usize),
}

impl Event {
    /// Decodes one record. Padding after the name (the perf buffer aligns records to 8 bytes) is ignored.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (header, rest) =
            EventHeader::read_from_prefix(bytes).map_err(|_| DecodeError::Short(bytes.len()))?;
        let claimed = usize::from(header.name_len);
        let name = rest.get(..claimed).ok_or(DecodeError::Name { claimed, carried: rest.len() })?;
        Self::new(header, name)
    }

    /// Builds an event from its parts. `header.name_len` is set to the length of `name`.
    pub fn new(mut header: EventHeader, name: &[u8]) -> Result<Self, DecodeError> {
        let hook = Hook::from_number(header.hook).ok_or(DecodeError::Hook(header.hook))?;
        if name.len() > NAME_MAX {
            return Err(DecodeError::TooLong(name.len()));
        }
        header.name_len = name.len() as u16;
        Ok(Self { header, hook, name: name.into() })
    }

    /// The fixed part, for a recording and for tests.
    pub fn header(&self) -> &EventHeader {
        &self.header
    }

    /// The bytes after the header; `name_len` of them.
    pub fn raw_name(&self) -> &[u8] {
        &self.name
    }

    pub fn hook(&self) -> Hook {
        self.hook
    }

    /// `CLOCK_MONOTONIC`, ns.
    pub fn t_ns(&self) -> u64 {
        self.header.t_ns
    }

    pub fn name(&self) -> Option<&[u8]> {
        self.known(Field::NAME).then_some(&*self.name)
    }

    /// Whether the name is the full path.
    pub fn name_is_path(&self) -> bool {
        self.known(Field::PATH)
    }

    pub fn name_truncated(&self) -> bool {
        self.known(Field::NAME_TRUNCATED)
    }

    pub fn css(&self) -> Option<u64> {
        self.field(Field::CSS, self.header.css)
    }

    pub fn serial(&self) -> Option<u64> {
        self.field(Field::SERIAL, self.header.serial)
    }

    pub fn css_flags(&self) -> Option<u32> {
        self.field(Field::CSS_FLAGS, self.header.css_flags)
    }

    pub fn css_refs(&self) -> Option<u64> {
        self.field(Field::CSS_REFS, self.header.css_refs)
    }

    /// The memcg ID; `Some(0)` means released.
    pub fn memcg_id(&self) -> Option<u32> {
        self.field(Field::MEMCG_ID, self.header.memcg_id)
    }

    pub fn id_refs(&self) -> Option<u32> {
        self.field(Field::ID_REFS, self.header.id_refs)
    }

    pub fn charged_pages(&self) -> Option<u64> {
        self.field(Field::CHARGED, self.header.charged_pages)
    }

    pub fn cgroup_id(&self) -> Option<u64> {
        self.field(Field::CGROUP_ID, self.header.cgroup_id)
    }

    pub fn level(&self) -> Option<u32> {
        self.field(Field::LEVEL, self.header.level)
    }

    pub fn parent_css(&self) -> Option<u64> {
        self.field(Field::PARENT, self.header.parent_css)
    }

    pub fn parent_serial(&self) -> Option<u64> {
        self.field(Field::PARENT_SERIAL, self.header.parent_serial)
    }

    pub fn parent_cgroup_id(&self) -> Option<u64> {
        self.field(Field::PARENT_CGROUP_ID, self.header.parent_cgroup_id)
    }

    /// Positive errno of a failed call.
    pub fn errno(&self) -> Option<u32> {
        self.field(Field::ERRNO, self.header.errno)
    }

    /// Whether the cgroup is known to have no processes and no children.
    pub fn is_empty(&self) -> bool {
        self.known(Field::EMPTY)
    }

    fn known(&self, field: u32) -> bool {
        self.header.known & field != 0
    }

    fn field<T>(&self, field: u32, value: T) -> Option<T> {
        self.known(field).then_some(value)
    }
}
