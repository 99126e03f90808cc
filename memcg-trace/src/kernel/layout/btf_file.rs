//! Reads BTF files: raw, as a section of an ELF file (vmlinux), or packed by BTFHub (`NAME.btf.tar.xz`,
//! <https://github.com/aquasecurity/btfhub-archive>). The format is detected from the first bytes.

use std::{
    fmt::Display,
    fs::File,
    io::{self, BufRead as _, BufReader, ErrorKind, Read},
    path::Path,
};

use lzma_rust2::XzReader;
use object::{
    Object as _, ObjectSection as _,
    read::{ReadCache, elf::ElfFile64},
};

/// `BTF_MAGIC`, little-endian.
const BTF: &[u8] = &[0x9f, 0xeb];
const ELF: &[u8] = b"\x7fELF";
const XZ: &[u8] = b"\xfd7zXZ\0";
/// Largest BTF accepted: ten times that of the largest distribution kernels.
const LENGTH_MAX: u64 = 64 << 20;
/// Memory limit for unpacking: xz -9 takes 64 MiB.
const UNPACK_KIB: u32 = 128 << 10;

/// Reads the BTF in a file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Peek instead of reading twice: it may be a pipe.
    let mut file = BufReader::new(File::open(path)?);
    let btf = match file.fill_buf()? {
        start if start.starts_with(ELF) => section(file.get_ref())?,
        start if start.starts_with(XZ) => unpacked(XzReader::new_mem_limit(file, true, UNPACK_KIB))?,
        _ => bounded(file)?,
    };
    if btf.starts_with(BTF) { Ok(btf) } else { Err(io::Error::other("it neither is BTF nor contains any")) }
}

fn section(file: &File) -> io::Result<Vec<u8>> {
    let cache = ReadCache::new(file);
    let elf = ElfFile64::<object::Endianness, _>::parse(&cache).map_err(damaged)?;
    let absent = || {
        io::Error::other(
            "this ELF file has no section .BTF (pahole --btf_encode_detached=FILE converts its DWARF)",
        )
    };
    let section = elf.section_by_name(".BTF").ok_or_else(absent)?;
    if section.size() > LENGTH_MAX {
        return Err(too_long());
    }
    match section.data().map_err(damaged)? {
        // SHT_NOBITS: a separate debug file, whose sections are in another file.
        [] => Err(absent()),
        btf => Ok(btf.to_vec()),
    }
}

/// The unpacked file if it is BTF, otherwise the first BTF file in the archive.
fn unpacked(packed: impl Read) -> io::Result<Vec<u8>> {
    let bytes = bounded(packed).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => error,
        // The memory limit for unpacking.
        ErrorKind::OutOfMemory => too_long(),
        _ => damaged(error),
    })?;
    if bytes.starts_with(BTF) {
        return Ok(bytes);
    }
    for entry in tar::Archive::new(&*bytes).entries().map_err(damaged)? {
        let file = bounded(entry.map_err(damaged)?)?;
        if file.starts_with(BTF) {
            return Ok(file);
        }
    }
    Err(io::Error::other("there is no BTF in this archive"))
}

fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = from.take(LENGTH_MAX + 1).read_to_end(&mut bytes)?;
    if read as u64 > LENGTH_MAX { Err(too_long()) } else { Ok(bytes) }
}

fn too_long() -> io::Error {
    let said = format!("it has more than {} MiB, which no kernel's BTF has", LENGTH_MAX >> 20);
    io::Error::new(ErrorKind::FileTooLarge, said)
}

/// Format errors do not say that the file is the problem.
fn damaged(error: impl Display) -> io::Error {
    io::Error::other(format!("it is cut short or damaged ({error})"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use lzma_rust2::{XzOptions, XzWriter};
    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;

    const RAW: &[u8] = b"\x9f\xeb\x01\0 and types";

    fn read_bytes(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut file = File::from(memfd_create(c"btf", MFdFlags::empty()).expect("a file in memory"));
        file.write_all(bytes).expect("room");
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        read(Path::new(&path)).map_err(|error| error.to_string())
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut writer = XzWriter::new(Vec::new(), XzOptions::with_preset(1)).expect("a writer");
        writer.write_all(bytes).expect("room");
        writer.finish().expect("the end")
    }

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            archive.append_data(&mut header, name, *bytes).expect("room");
        }
        archive.into_inner().expect("the end")
    }

    #[test]
    fn each_form() {
        let packed = archive(&[("./README", b"of a kernel"), ("./3.10.0-1160.el7.x86_64.btf", RAW)]);
        for bytes in [RAW, &xz(RAW), &xz(&packed)] {
            assert_eq!(read_bytes(bytes).as_deref(), Ok(RAW));
        }
    }

    #[test]
    fn a_pipe() {
        let (from, mut to) = io::pipe().expect("a pipe");
        to.write_all(&xz(&archive(&[("kernel.btf", RAW)]))).expect("room");
        drop(to);
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&from));
        assert_eq!(read(Path::new(&path)).expect("BTF"), RAW);
    }

    #[test]
    fn nothing_else() {
        let packed = xz(&archive(&[("kernel.btf", RAW)]));
        let none = "no BTF in this archive";
        let bomb = xz(&vec![0; LENGTH_MAX as usize + 2]);
        let foreign = "neither is BTF";
        let table: &[(&[u8], &str)] = &[
            (b"", foreign),
            (b"BTF", foreign),
            (&xz(&archive(&[("README", b"of a kernel")])), none),
            (&packed[..packed.len() / 2], "cut short or damaged"),
            (b"\xfd7zXZ\0 and then something else", "cut short or damaged"),
            (b"\x7fELF and then something else", "cut short or damaged"),
            (&bomb, "more than 64 MiB"),
        ];
        for (bytes, expected) in table {
            let said = read_bytes(bytes).expect_err("no BTF");
            assert!(said.contains(expected), "{said}");
        }
    }
}
