//! Addresses of sockets in text, as ss(8) has them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// An address of an inet socket; `None`: it has neither address nor port.
pub(super) fn inet(address: [u8; 4], port: u16) -> Option<Box<[u8]>> {
    text(SocketAddr::from((Ipv4Addr::from(address), port)))
}

/// The same of IPv6.
pub(super) fn inet6(address: [u8; 16], port: u16) -> Option<Box<[u8]>> {
    text(SocketAddr::from((Ipv6Addr::from(address), port)))
}

fn text(address: SocketAddr) -> Option<Box<[u8]>> {
    let is_bound = address.port() != 0 || !address.ip().is_unspecified();
    is_bound.then(|| address.to_string().into_bytes().into())
}

/// The name of a unix socket: `sun_path`, as long as its length says. A path ends with its first NUL, if it has one; a name
/// that begins with NUL is no path (unix(7)) and is written with `@`.
pub(super) fn unix(name: &[u8]) -> Option<Box<[u8]>> {
    match name {
        [] => None,
        [0, name @ ..] => Some([b"@", name].concat().into()),
        path => Some(path.split(|byte| *byte == 0).next().unwrap_or_default().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unbound_bound_and_connected() {
        let table: &[([u8; 4], u16, Option<&str>)] = &[
            ([0; 4], 0, None),
            ([0; 4], 53, Some("0.0.0.0:53")),
            ([127, 0, 0, 1], 0, Some("127.0.0.1:0")),
            ([10, 0, 0, 1], 8080, Some("10.0.0.1:8080")),
        ];
        for (address, port, expected) in table {
            assert_eq!(inet(*address, *port).as_deref(), expected.map(str::as_bytes), "{address:?} {port}");
        }
        let loopback = Ipv6Addr::LOCALHOST.octets();
        assert_eq!(inet6(loopback, 80).as_deref(), Some(&b"[::1]:80"[..]));
        assert_eq!(inet6([0; 16], 0), None);
    }

    #[test]
    fn names_of_unix_sockets() {
        let table: &[(&[u8], Option<&[u8]>)] = &[
            (b"", None),
            (b"/run/a.sock\0", Some(b"/run/a.sock")),
            (b"/run/a.sock", Some(b"/run/a.sock")),
            (b"\0abstract", Some(b"@abstract")),
            (b"\0with\0nul", Some(b"@with\0nul")),
            (b"\0", Some(b"@")),
        ];
        for (name, expected) in table {
            assert_eq!(unix(name).as_deref(), *expected, "{name:?}");
        }
    }
}
