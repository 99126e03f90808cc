//! /proc/PID/mountinfo (proc_pid_mountinfo(5)). What is in it was chosen by whoever mounts, by fusermount any user: bytes, of which
//! only those that would end a field are escaped.

use std::{
    fs, io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

/// Our own mounts.
pub const OWN: &str = "/proc/self/mountinfo";

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountLine<'a> {
    /// Number of the mount, as in /proc/PID/fdinfo.
    pub id: u32,
    /// Major and minor number of the file system.
    pub device: (u32, u32),
    /// What is mounted, as a path in the file system.
    pub root: Box<[u8]>,
    /// Where.
    pub point: Box<[u8]>,
    /// As they stand in the line.
    pub fs_type: &'a [u8],
    pub super_options: &'a [u8],
}

/// Our own mounts; empty if they cannot be read.
pub fn own() -> Vec<u8> {
    fs::read(OWN).unwrap_or_default()
}

/// Major and minor number of the file system that a file of ours is on, which was reached through the mounts of a process (`None`:
/// our own). Not `st_dev`: btrfs makes one up for each subvolume (`btrfs_getattr`, fs/btrfs/inode.c).
pub fn device_of(file: BorrowedFd<'_>, pid: Option<u32>) -> io::Result<(u32, u32)> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse::<u32>().ok());
    let mounts = match pid {
        Some(pid) => fs::read(format!("/proc/{pid}/mountinfo"))?,
        None => fs::read(OWN)?,
    };
    let mount = parse(&mounts).find(|mount| Some(mount.id) == id);
    mount.map(|mount| mount.device).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Each mount, in order; lines that are none are left out.
pub fn parse(mountinfo: &[u8]) -> impl DoubleEndedIterator<Item = MountLine<'_>> {
    mountinfo.split(|byte| *byte == b'\n').filter_map(MountLine::of)
}

impl<'a> MountLine<'a> {
    /// `36 35 98:0 /root /mount/point rw,noatime master:1 - ext3 /dev/root rw`
    fn of(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let mut word = || str::from_utf8(fields.next()?).ok();
        let (id, _, device) = (word()?.parse().ok()?, word()?, word()?);
        let (major, minor) = device.split_once(':')?;
        let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
        // Behind the options of the mount is any number of fields.
        fields.find(|field| *field == b"-")?;
        let (fs_type, _, super_options) = (fields.next()?, fields.next()?, fields.next()?);
        let device = (major.parse().ok()?, minor.parse().ok()?);
        Some(Self { id, device, root, point, fs_type, super_options })
    }
}

/// Of a file of /proc: space, tab, newline, backslash and # are three octal digits (`mangle`, fs/proc_namespace.c).
pub fn unescape(field: &[u8]) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, behind)) = rest.split_first() {
        let octal = |digits: &[u8]| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok();
        let escaped = (byte == b'\\').then(|| behind.get(..3).and_then(octal)).flatten();
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &behind[3..] } else { behind };
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_in_a_name() {
        let lines = b"22 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/root rw\n\
            broken\n\
            23 22 0:20 /a\\040b /t\\011n\\012b\\134h\\043 rw - fuse.x \xff\xfe user_id=1000\n\
            24 22 0:21 / /home/\xff rw - tmpfs tmpfs rw\n\
            25 22 0:22 / /cut rw - tmpfs";
        let mounts: Vec<_> = parse(lines).collect();
        let points: Vec<&[u8]> = mounts.iter().map(|mount| &*mount.point).collect();
        assert_eq!(points, [&b"/"[..], b"/t\tn\nb\\h#", b"/home/\xff"]);
        let second = &mounts[1];
        let (root, fs_type, options) = (&*second.root, second.fs_type, second.super_options);
        assert_eq!((second.id, second.device, root), (23, (0, 20), &b"/a b"[..]));
        assert_eq!((fs_type, options), (&b"fuse.x"[..], &b"user_id=1000"[..]));
    }
}
