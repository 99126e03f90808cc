//! Landlock (since 5.13): what the threads that read others' files and write output never do to a file system.

use std::os::fd::AsFd;

use landlock::{
    ABI, AccessFs, CompatLevel, Compatible as _, PathBeneath, Ruleset, RulesetAttr as _, RulesetCreated,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus,
};

/// The newest rules that are asked for; an older kernel takes those that it knows. Not those of devices (V5): the screen asks
/// its terminal for its size.
const NEWEST: ABI = ABI::V4;

/// From now on, this thread and those that it starts open nothing for writing, create, remove, rename and run nothing.
/// What is open already stays usable, and sockets can be connected to. False: this kernel does not enforce it.
pub fn forbid_changes() -> Result<bool, RulesetError> {
    // No rule grants any of it anywhere.
    restrict(ruleset()?)
}

/// The same, but for what is below a directory.
pub fn forbid_changes_elsewhere(directory: impl AsFd) -> Result<bool, RulesetError> {
    restrict(ruleset()?.add_rule(PathBeneath::new(directory, AccessFs::from_write(NEWEST)))?)
}

fn ruleset() -> Result<RulesetCreated, RulesetError> {
    let changes = AccessFs::from_write(NEWEST) | AccessFs::Execute;
    Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(changes)?.create()
}

fn restrict(ruleset: RulesetCreated) -> Result<bool, RulesetError> {
    let restricted = ruleset.no_new_privs(true).restrict_self()?;
    Ok(restricted.ruleset != RulesetStatus::NotEnforced)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::ErrorKind, thread};

    use super::*;

    #[test]
    fn files_are_read_and_not_changed() {
        let path = std::env::temp_dir().join(format!("memcg-trace-landlock-{}", std::process::id()));
        fs::write(&path, "content").expect("a file");
        let file = path.clone();
        let of_a_thread = thread::spawn(move || {
            let enforced = forbid_changes().expect("a ruleset");
            let read = fs::read_to_string(&file).is_ok_and(|text| text == "content");
            let refused = [fs::write(&file, "changed"), fs::remove_file(&file)];
            (enforced, read, refused.map(|result| result.err().map(|error| error.kind())))
        });
        let (enforced, read, refused) = of_a_thread.join().expect("it goes on");
        let _ = fs::remove_file(&path);
        let expected = if enforced { Some(ErrorKind::PermissionDenied) } else { None };
        assert!(read);
        assert_eq!(refused, [expected; 2]);
    }
}
