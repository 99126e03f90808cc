//! What keeps a thread that has dropped its privileges from regaining any, as the kernel tells.

use caps::CapSet;
use nix::sys::prctl::get_no_new_privs;
use serde::Serialize;

/// Each of them holds for the thread that is asked, and for all that it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Confinement {
    /// No program that is run gains privileges (`PR_SET_NO_NEW_PRIVS`).
    pub no_new_privs: bool,
    /// A filter decides about system calls.
    pub seccomp: bool,
    /// No capability can be had again.
    pub bounding_set_empty: bool,
    /// The version of Landlock by which files are restricted; null: this kernel has none, or it is not switched on.
    pub landlock_abi: Option<i32>,
}

impl Confinement {
    /// Of this thread; it knows itself what Landlock said.
    pub fn of_this_thread(landlock_abi: Option<i32>) -> Self {
        // SAFETY: it takes no pointer.
        let mode = unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) };
        Self {
            no_new_privs: get_no_new_privs().unwrap_or(false),
            seccomp: mode == libc::SECCOMP_MODE_FILTER as i32,
            bounding_set_empty: caps::read(None, CapSet::Bounding).is_ok_and(|set| set.is_empty()),
            landlock_abi,
        }
    }

    /// In words: what is in force, and what is not, with what it takes.
    pub fn text(&self) -> String {
        let landlock = self.landlock_abi.map_or("Landlock".to_owned(), |abi| format!("Landlock ABI {abi}"));
        let parts = [
            (self.no_new_privs, "no_new_privs", "Linux 3.5"),
            (self.seccomp, "seccomp filter", "CONFIG_SECCOMP_FILTER"),
            (self.bounding_set_empty, "empty bounding set", "CAP_SETPCAP"),
            (self.landlock_abi.is_some(), &*landlock, "Linux 5.13, switched on"),
        ];
        let in_force: Vec<&str> = parts.iter().filter(|part| part.0).map(|part| part.1).collect();
        let absent = parts.iter().filter(|part| !part.0).map(|(_, part, takes)| format!("{part} ({takes})"));
        let absent: Vec<String> = absent.collect();
        match (in_force.is_empty(), absent.is_empty()) {
            (_, true) => in_force.join(", "),
            (true, false) => format!("none: not {}", absent.join(", not ")),
            (false, false) => format!("{}; not {}", in_force.join(", "), absent.join(", not ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_and_what_is_not() {
        let all = Confinement {
            no_new_privs: true,
            seccomp: true,
            bounding_set_empty: true,
            landlock_abi: Some(7),
        };
        let table = [
            (all, "no_new_privs, seccomp filter, empty bounding set, Landlock ABI 7"),
            (
                Confinement { bounding_set_empty: false, landlock_abi: None, ..all },
                "no_new_privs, seccomp filter; not empty bounding set (CAP_SETPCAP), not Landlock (Linux 5.13, switched on)",
            ),
        ];
        for (confinement, expected) in table {
            assert_eq!(confinement.text(), expected);
        }
        assert!(Confinement::default().text().starts_with("none: not no_new_privs"));
    }
}
