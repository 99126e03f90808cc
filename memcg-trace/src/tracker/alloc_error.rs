//! Decodes the errno of a failed `mem_cgroup_css_alloc`.
//!
//! The errno for "out of memcg IDs" depends on the kernel's ID allocator: `css_get_new_id` and `idr_alloc` return
//! ENOSPC, `xa_alloc` returns EBUSY. In between, `mem_cgroup_alloc` returned NULL for any failure, which its caller
//! turned into ENOMEM (4.7 to 5.6, and the later kernels of RHEL 7): the same as for lack of memory.

use nix::errno::Errno;

use super::Ids;

/// This many free IDs still count as none, because the count may lag behind the failure.
const MARGIN: u64 = 64;

/// Whether an allocation failed because all memcg IDs were in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    Yes,
    No,
    CannotTell,
}

impl Exhausted {
    /// For JSON: `null` if unknown.
    pub fn known(self) -> Option<bool> {
        match self {
            Self::Yes => Some(true),
            Self::No => Some(false),
            Self::CannotTell => None,
        }
    }
}

/// A decoded errno.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocError {
    /// `ENOSPC`
    pub name: String,
    pub exhausted: Exhausted,
    /// Explanation for people; continues "it failed: …".
    pub meaning: &'static str,
}

impl AllocError {
    /// Decides by the errno and, where that is ambiguous, by the IDs in use. These do not include IDs held by memcgs
    /// that died before the start and were not walked; `dying_unseen` is the maximum number of those.
    pub fn decode(errno: u32, ids: &Ids, dying_unseen: Option<u64>) -> Self {
        let errno = i32::try_from(errno).map_or(Errno::UnknownErrno, Errno::from_raw);
        let full = |used: u64| used.saturating_add(MARGIN) >= ids.limit;
        let at_most = ids.used.zip(dying_unseen).map(|(used, dying)| used.saturating_add(dying));
        let (exhausted, meaning) = match errno {
            Errno::ENOSPC | Errno::EBUSY => (Exhausted::Yes, "all 65,535 memcg IDs are in use"),
            Errno::ENOMEM if ids.used.is_some_and(full) => {
                (Exhausted::Yes, "the memcg IDs are used up, for which some kernels say ENOMEM")
            }
            Errno::ENOMEM if at_most.is_some_and(|used| !full(used)) => {
                (Exhausted::No, "the kernel lacked memory; memcg IDs are left")
            }
            Errno::ENOMEM => (
                Exhausted::CannotTell,
                "the kernel lacked memory or, if it is 4.7 to 5.6 or of RHEL 7, perhaps memcg IDs",
            ),
            _ => (Exhausted::CannotTell, "not an errno that mem_cgroup_css_alloc is known for"),
        };
        Self { name: format!("{errno:?}"), exhausted, meaning }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exhausted(errno: Errno, used: Option<u64>, dying_unseen: Option<u64>) -> Option<bool> {
        let ids = Ids { used, limit: 65_535, held_by_dying: None, exhaustion: None };
        AllocError::decode(errno as u32, &ids, dying_unseen).exhausted.known()
    }

    #[test]
    fn enospc_and_ebusy_say_it_all() {
        assert_eq!(exhausted(Errno::ENOSPC, None, None), Some(true));
        assert_eq!(exhausted(Errno::EBUSY, Some(10), Some(0)), Some(true));
    }

    #[test]
    fn enomem_needs_the_count() {
        assert_eq!(exhausted(Errno::ENOMEM, None, None), None);
        assert_eq!(exhausted(Errno::ENOMEM, Some(65_534), None), Some(true));
        assert_eq!(exhausted(Errno::ENOMEM, Some(200), Some(30)), Some(false));
        // Zombies from before the start may hold the IDs that are not counted.
        assert_eq!(exhausted(Errno::ENOMEM, Some(200), Some(65_400)), None);
        assert_eq!(exhausted(Errno::ENOMEM, Some(200), None), None);
    }
}
