//! Parses the systemd unit from a cgroup path, like systemd itself.
//!
//! Rules: systemd src/basic/cgroup-util.c (`cg_path_decode_unit`, `cg_path_get_user_unit`, `cg_path_get_owner_uid`,
//! `cg_unescape`) and src/basic/unit-name.c (`unit_name_is_valid`); docs/CGROUP_DELEGATION.md. Systemd is not queried:
//! directories with such names that were created by hand are treated like units.

use serde::Serialize;

/// The systemd unit of a cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Unit {
    /// The service, scope or other unit of the system manager; a slice if the path ends with it.
    pub unit: Option<String>,
    /// The innermost slice of the system manager.
    pub slice: Option<String>,
    /// Owner of the login session or of the user manager.
    pub user: Option<u32>,
    /// The unit of the user manager.
    pub user_unit: Option<String>,
    /// Name of the machine, as in `machinectl`.
    pub machine: Option<String>,
}

/// Suffixes of the types that have cgroups (`unit_type_table`, those with a cgroup context).
const TYPES: &[&str] = &[".service", ".scope", ".slice", ".socket", ".mount", ".swap"];
/// `UNIT_NAME_MAX`, without the NUL.
const UNIT_NAME_MAX: usize = 255;

/// The unit of a path; `None` if it does not start with one.
pub fn unit_of_path(path: &[u8]) -> Option<Unit> {
    let mut rest = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).peekable();
    let mut found = Unit::default();
    found.slice = last_slice(&mut rest, |slice| {
        found.user = found.user.or_else(|| user_of(slice, "user-", ".slice"));
    });
    found.unit = rest.next().and_then(unit_name).or_else(|| found.slice.clone());
    let unit = found.unit.as_deref()?;
    let manager = user_of(unit, "user@", ".service");
    if manager.is_some() {
        found.user = manager;
        // The user's slices add nothing to the user's unit.
        let slice = last_slice(&mut rest, |_| ());
        found.user_unit = rest.next().and_then(unit_name).or(slice);
    }
    let innermost = found.user_unit.as_deref().unwrap_or(unit);
    found.machine = machine(innermost);
    Some(found)
}

/// Skips leading slices, and returns the last one.
fn last_slice<'a>(
    rest: &mut std::iter::Peekable<impl Iterator<Item = &'a [u8]>>,
    mut seen: impl FnMut(&str),
) -> Option<String> {
    let mut last = None;
    while let Some(slice) = rest.peek().copied().and_then(unit_name).filter(|name| name.ends_with(".slice")) {
        rest.next();
        seen(&slice);
        last = Some(slice);
    }
    last
}

/// A valid unit name, without the underscore that systemd prepends to names that could clash with the kernel's files.
fn unit_name(component: &[u8]) -> Option<String> {
    let name = str::from_utf8(component.strip_prefix(b"_").unwrap_or(component)).ok()?;
    let stem = TYPES.iter().find_map(|suffix| name.strip_suffix(suffix))?;
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let whole = !stem.is_empty() && !stem.starts_with('@') && name.len() <= UNIT_NAME_MAX;
    (whole && name.bytes().all(valid)).then(|| name.to_owned())
}

/// The number in `<prefix><uid><suffix>`.
fn user_of(name: &str, prefix: &str, suffix: &str) -> Option<u32> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// `machine-<name>.scope`, or `systemd-nspawn@<name>.service`: systemd src/machine/machine-dbus.c and
/// units/systemd-nspawn@.service.in.
fn machine(unit: &str) -> Option<String> {
    let scope = || unit.strip_prefix("machine-")?.strip_suffix(".scope");
    let service = || unit.strip_prefix("systemd-nspawn@")?.strip_suffix(".service");
    let escaped = scope().or_else(service).filter(|name| !name.is_empty())?;
    unescape(escaped)
}

/// `\xNN`, and a dash for a slash, as in systemd-escape(1).
fn unescape(escaped: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), escaped.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                bytes.push((digit(*high)? * 16 + digit(*low)?) as u8);
                rest = after;
            }
            (b'-', _) => bytes.push(b'/'),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Facts<'a> = (Option<&'a str>, Option<&'a str>, Option<u32>, Option<&'a str>, Option<&'a str>);

    #[test]
    fn units_of_the_samples() {
        let table: &[(&str, Facts<'_>)] = &[
            (
                "/system.slice/system-postgresql.slice/postgresql@9.4-main.service",
                (Some("postgresql@9.4-main.service"), Some("system-postgresql.slice"), None, None, None),
            ),
            (
                "/system.slice/system-serial\\x2dgetty.slice",
                (
                    Some("system-serial\\x2dgetty.slice"),
                    Some("system-serial\\x2dgetty.slice"),
                    None,
                    None,
                    None,
                ),
            ),
            ("/_cpu.service", (Some("cpu.service"), None, None, None, None)),
            ("/init.scope", (Some("init.scope"), None, None, None, None)),
            (
                "/system.slice/nginx.service/worker",
                (Some("nginx.service"), Some("system.slice"), None, None, None),
            ),
            (
                "/user.slice/user-1000.slice/session-3.scope",
                (Some("session-3.scope"), Some("user-1000.slice"), Some(1000), None, None),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/redis.service/x",
                (Some("user@1000.service"), Some("user-1000.slice"), Some(1000), Some("redis.service"), None),
            ),
            (
                "/machine.slice/machine-deb\\x2d12.scope/payload",
                (Some("machine-deb\\x2d12.scope"), Some("machine.slice"), None, None, Some("deb-12")),
            ),
            (
                "/machine.slice/systemd-nspawn@web.service/payload/system.slice",
                (Some("systemd-nspawn@web.service"), Some("machine.slice"), None, None, Some("web")),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/machine.slice/android-build.scope",
                (
                    Some("user@1000.service"),
                    Some("user-1000.slice"),
                    Some(1000),
                    Some("android-build.scope"),
                    None,
                ),
            ),
        ];
        for (path, (unit, slice, user, user_unit, machine)) in table {
            let found = unit_of_path(path.as_bytes()).unwrap_or_else(|| panic!("{path}"));
            let owned = |text: &Option<&str>| text.map(str::to_owned);
            let expected = Unit {
                unit: owned(unit),
                slice: owned(slice),
                user: *user,
                user_unit: owned(user_unit),
                machine: owned(machine),
            };
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn unknown_stays_unknown() {
        let long = format!("/{}.service", "a".repeat(300));
        for path in ["", "/", "/kubepods/pod1", "/docker/nginx.service", "/.service", "/a b.service", &long] {
            assert_eq!(unit_of_path(path.as_bytes()), None, "{path}");
        }
        // The old ConsoleKit names of before systemd 205.
        assert_eq!(unit_of_path(b"/user/1000.user/c2.session"), None);
    }

    proptest! {
        #[test]
        fn any_bytes(path in proptest::collection::vec(any::<u8>(), 0..300)) {
            unit_of_path(&path);
        }

        #[test]
        fn wreckage(words in proptest::collection::vec("(user-|user@|machine-|system|_|[0-9]{1,12}|\\\\x2|\\.slice|\\.scope|\\.service|/)", 0..12)) {
            unit_of_path(words.concat().as_bytes());
        }
    }
}
