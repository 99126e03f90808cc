//! The family of units or names that differ only in what was generated: a UUID, a hash, a counter.
//!
//! Only one name is looked at, never its neighbours: the same unit is in the same family on every node and in every recording.

use super::cgroup_name::is_uuid;

/// Hex digits, with a decimal one among them, from this length on are a hash (7 is what git cuts them to, but also
/// `ed25519`).
const SHORTEST_HEX: usize = 8;
/// Any letters and digits together: base 32, 36 and 62.
const SHORTEST_MIXED: usize = 20;
/// Digits alone, wherever they stand: a date, a PID, a time. Ports and uids have five at most.
const SHORTEST_NUMBER: usize = 6;
/// A hash behind other letters (`pod9729a1…`) is known by its length: MD5, SHA-1, SHA-256.
const WHOLE_HASHES: [usize; 3] = [64, 40, 32];
const UUID: usize = 36;
const ESCAPE: usize = "\\x2d".len();

/// The unit, with `*` for what is generated in its name. Names that people number by hand (`worker@2`, `redis-6379`) stay.
pub fn unit_family(unit: &str) -> String {
    let (stem, kind) = unit.rsplit_once('.').unwrap_or((unit, ""));
    let family = known(stem, kind).unwrap_or_else(|| generated(stem, Numbering::of(kind)));
    if kind.is_empty() { family } else { format!("{family}.{kind}") }
}

/// The same for the name of a container: `redis-<allocation>` of Nomad, `shop_web_run_4f1c9a02be77` of compose.
pub fn of_name(name: &str) -> String {
    generated(name, Numbering::Long)
}

/// Which numbers count something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbering {
    /// Only those that nobody would give by hand.
    Long,
    /// Any behind a dash, with up to one letter in front: no file names a scope, it was numbered by who made it.
    AfterDash,
}

impl Numbering {
    fn of(kind: &str) -> Self {
        if kind == "scope" { Self::AfterDash } else { Self::Long }
    }
}

/// Where systemd and libvirt number units in a way of their own.
///
/// - `run-u<n>`, `run-r<hex>`, `run-p<pid>-i<n>`: systemd src/run/run.c `make_transient_service_unit`.
/// - `<name>@<n>-<…>-<…>`: an instance for each connection, src/core/socket.c `instance_from_socket`.
/// - `machine-qemu\x2d<n>\x2d<name>`: libvirt src/util/virsystemd.c, for each start of the machine.
fn known(stem: &str, kind: &str) -> Option<String> {
    const TRANSIENT: [&str; 3] = ["run-u", "run-r", "run-p"];
    for prefix in TRANSIENT {
        let rest = stem.strip_prefix(prefix).filter(|rest| rest.starts_with(|c: char| c.is_ascii_hexdigit()));
        if rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit() || b"-i".contains(&byte)))
        {
            return Some(format!("{prefix}*"));
        }
    }
    if kind == "service"
        && let Some((name, instance)) = stem.split_once('@')
    {
        let (number, peers) = instance.split_once('-')?;
        let of_a_peer = |byte: u8| byte.is_ascii_hexdigit() || b".:-_%".contains(&byte);
        let connection = is_number(number) && (peers == "unknown" || peers.bytes().all(of_a_peer));
        return (connection && peers.contains(['-', 'u'])).then(|| format!("{name}@*"));
    }
    let machine = stem.strip_prefix("machine-").filter(|_| kind == "scope")?;
    let (driver, rest) = machine.split_once("\\x2d")?;
    let (number, name) = rest.split_once("\\x2d")?;
    is_number(number).then(|| format!("machine-{driver}\\x2d*\\x2d{name}"))
}

/// With `*` for each word that was generated.
fn generated(name: &str, counters: Numbering) -> String {
    let mut family = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        if let Some(uuid) = uuid(rest) {
            family.push('*');
            rest = &rest[uuid..];
        } else if rest.starts_with("\\x") {
            let (escape, after) = rest.split_at_checked(ESCAPE).unwrap_or((rest, ""));
            family.push_str(escape);
            rest = after;
        } else if first.is_ascii_alphanumeric() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            // A UUID may stand behind letters: `pod<uid>`.
            let end = (1..end).find(|&at| uuid(&rest[at..]).is_some()).unwrap_or(end);
            let counts = counters == Numbering::AfterDash && family.ends_with('-');
            let kept = kept(&rest[..end], counts);
            family.push_str(&rest[..kept]);
            if kept < end {
                family.push('*');
            }
            rest = &rest[end..];
        } else {
            family.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    family
}

/// How much of a word of letters and digits is not generated, bytes.
fn kept(word: &str, counts: bool) -> usize {
    let bytes = word.as_bytes();
    let hex = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_hexdigit) && bytes.iter().any(u8::is_ascii_digit);
    let letters = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_alphabetic);
    let decimal = bytes.iter().any(u8::is_ascii_digit);
    if is_number(word) {
        return if counts || bytes.len() >= SHORTEST_NUMBER { 0 } else { bytes.len() };
    }
    if counts && is_number(&word[1..]) {
        return 1;
    }
    if bytes.len() >= SHORTEST_HEX && hex(bytes) {
        return 0;
    }
    let hash = WHOLE_HASHES.iter().filter_map(|length| bytes.len().checked_sub(*length));
    if let Some(at) = hash.into_iter().find(|&at| letters(&bytes[..at]) && hex(&bytes[at..])) {
        return at;
    }
    if bytes.len() >= SHORTEST_MIXED && decimal { 0 } else { bytes.len() }
}

/// Length of the UUID that this begins with, whatever its dashes became: `_` in a slice, `\x2d` where systemd escapes them.
fn uuid(text: &str) -> Option<usize> {
    let plain = |text: &str| text.get(..UUID).is_some_and(|uuid| is_uuid(uuid.replace('_', "-").as_bytes()));
    let escaped = || {
        let length = UUID + 4 * (ESCAPE - 1);
        let uuid = text.get(..length)?.replace("\\x2d", "-");
        is_uuid(uuid.as_bytes()).then_some(length)
    };
    let length = if plain(text) { UUID } else { escaped()? };
    // Not the beginning of something longer.
    (!text[length..].starts_with(|c: char| c.is_ascii_alphanumeric())).then_some(length)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn families_of_units() {
        let table = [
            // Transient units.
            ("session-12.scope", "session-*.scope"),
            ("session-c3.scope", "session-c*.scope"),
            ("run-u123.service", "run-u*.service"),
            ("run-rb7c7a2bf0d5c4f4e8a9b0c1d2e3f4a5b.scope", "run-r*.scope"),
            ("run-p4711-i4712.service", "run-p*.service"),
            ("app-gnome-firefox-4711.scope", "app-gnome-firefox-*.scope"),
            (
                "app-org.gnome.Terminal@6a4ce4a0ba4711eab2a70cc47ac5979e.service",
                "app-org.gnome.Terminal@*.service",
            ),
            ("ci-job-1048213.service", "ci-job-*.service"),
            // UUIDs, with any dashes.
            (
                "snap.firefox.firefox-6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e.scope",
                "snap.firefox.firefox-*.scope",
            ),
            ("snap.code.code.6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e.scope", "snap.code.code.*.scope"),
            ("vte-spawn-f0c2b3a4-ba47-11ea-b2a7-acc47ac5979e.scope", "vte-spawn-*.scope"),
            ("6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e.web.scope", "*.web.scope"),
            ("6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e.web-2.scope", "*.web-*.scope"),
            (
                "kubepods-besteffort-pod6a4ce4a0_ba47_11ea_b2a7_0cc47ac5979e.slice",
                "kubepods-besteffort-pod*.slice",
            ),
            (
                "run-netns-cni\\x2d6a4ce4a0\\x2dba47\\x2d11ea\\x2db2a7\\x2d0cc47ac5979e.mount",
                "run-netns-cni\\x2d*.mount",
            ),
            // Hashes.
            ("docker-17db96a24ae1e9f0.scope", "docker-*.scope"),
            ("docker-vy53ljgivqn5q9axwrx1mf40l.scope", "docker-*.scope"),
            ("kubepods-burstable-pod9729a196c4723b60ab401eaff722982d.slice", "kubepods-burstable-pod*.slice"),
            (
                "machine-libpod_pod_17db96a24ae1e9f0c2b3a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819.slice",
                "machine-libpod_pod_*.slice",
            ),
            ("ecstasks-6a4ce4a0ba4711eab2a70cc47ac5979e.slice", "ecstasks-*.slice"),
            ("deploy-4f1c9a02.service", "deploy-*.service"),
            // Counters of their own kinds.
            ("sshd@12-10.0.0.1:22-10.0.0.2:51234.service", "sshd@*.service"),
            ("systemd-coredump@3-4711-0.service", "systemd-coredump@*.service"),
            ("sshd@3-unknown.service", "sshd@*.service"),
            ("machine-qemu\\x2d3\\x2dvm.scope", "machine-qemu\\x2d*\\x2dvm.scope"),
            // Named by hand, or known for what they are numbered by.
            ("nginx.service", "nginx.service"),
            ("postgresql@9.4-main.service", "postgresql@9.4-main.service"),
            ("worker@2-east-1.service", "worker@2-east-1.service"),
            ("worker@2-1.service", "worker@2-1.service"),
            ("vpn@eu-1-2.service", "vpn@eu-1-2.service"),
            ("backupofallthatanybodycouldmissx.service", "backupofallthatanybodycouldmissx.service"),
            ("run-docker.mount", "run-docker.mount"),
            ("user@1000.service", "user@1000.service"),
            ("user-1000.slice", "user-1000.slice"),
            ("worker@2.service", "worker@2.service"),
            ("getty@tty1.service", "getty@tty1.service"),
            ("redis-6379.service", "redis-6379.service"),
            ("103.scope", "103.scope"),
            ("machine-deb\\x2d12.scope", "machine-deb\\x2d12.scope"),
            ("ssh-ed25519.service", "ssh-ed25519.service"),
            ("systemd-networkd-wait-online.service", "systemd-networkd-wait-online.service"),
            ("init.scope", "init.scope"),
        ];
        for (unit, family) in table {
            assert_eq!(unit_family(unit), family, "{unit}");
            assert_eq!(unit_family(family), family, "a family is its own family");
        }
    }

    #[test]
    fn families_of_containers() {
        let table = [
            ("redis-6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e", "redis-*"),
            ("shop_web_run_4f1c9a02be77", "shop_web_run_*"),
            ("shop-web-1", "shop-web-1"),
            ("db", "db"),
            ("Größe-1", "Größe-1"),
        ];
        for (name, family) in table {
            assert_eq!(of_name(name), family);
        }
    }

    proptest! {
        #[test]
        fn any_name(name in ".{0,80}") {
            unit_family(&name);
            of_name(&name);
        }

        /// Whatever is generated, the family is the same.
        #[test]
        fn one_family(first in "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}") {
            prop_assert_eq!(unit_family(&format!("a-{first}.scope")), "a-*.scope");
            prop_assert_eq!(unit_family(&format!("pod{first}.slice")), "pod*.slice");
        }
    }
}
