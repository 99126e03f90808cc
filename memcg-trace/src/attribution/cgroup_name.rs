//! What single names in a cgroup path are made of.

/// A UUID as RFC 9562 writes it: groups of 8, 4, 4, 4 and 12 hex digits.
pub fn is_uuid(bytes: &[u8]) -> bool {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let groups = bytes.split(|&byte| byte == b'-');
    groups.clone().map(<[u8]>::len).eq(GROUPS) && groups.flatten().all(u8::is_ascii_hexdigit)
}

/// The form of an id that docker, containerd's CRI plugin, CRI-O, podman and kata share.
pub fn container_id(bytes: &[u8]) -> Option<String> {
    let lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (bytes.len() == 64 && bytes.iter().all(lower)).then(|| ascii(bytes))
}

/// Bytes that were checked to be ASCII.
pub fn ascii(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
