//! The address of the memory map (`vmemmap`) without a symbol: by a page of our own, of which both its number and its
//! `struct page` can be found out.

use std::{
    fs::{self, File},
    io,
    num::NonZeroUsize,
    ops::Range,
    os::unix::fs::FileExt as _,
};

use nix::sys::{
    memfd::{MFdFlags, memfd_create},
    mman::{MapFlags, ProtFlags, mmap, munmap},
};

use super::{fds::OpenFiles, pass::Pass, paths, tasks::Tasks};
use crate::kernel::{memory::MemoryError, page_bytes};

/// Bits of an entry of /proc/PID/pagemap that are the page's number (Documentation/admin-guide/mm/pagemap.rst).
const NUMBER: u64 = (1 << 55) - 1;
/// A `struct page *` in an xarray is no other entry (include/linux/xarray.h).
const ENTRY_KIND: u64 = 3;

/// The map of all pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vmemmap {
    /// Address of the `struct page` of page number 0.
    pub start: u64,
    /// Numbers of pages that are memory.
    pub ranges: Vec<Range<u64>>,
}

impl Vmemmap {
    /// Takes CAP_SYS_ADMIN, for page numbers. `Err(why)`: it was not found.
    pub fn find(pass: &mut Pass<'_>) -> Result<Result<Self, String>, MemoryError> {
        let ranges = match ranges() {
            Ok(ranges) if !ranges.is_empty() => ranges,
            _ => return Ok(Err("/proc/iomem does not tell where memory is; it takes CAP_SYS_ADMIN".into())),
        };
        let (page, number) = match OwnPage::new().and_then(|page| Ok((page.number()?, page))) {
            Ok((number @ 1.., page)) => (page, number),
            Ok(_) => {
                return Ok(Err(
                    "/proc/self/pagemap does not tell page numbers; it takes CAP_SYS_ADMIN".into()
                ));
            }
            Err(error) => return Ok(Err(format!("cannot find a page of our own: {error}"))),
        };
        let address = page.address(pass)?;
        let moved = page.number().ok() != Some(number);
        let size = u64::from(pass.layout.page.size);
        Ok(match address.filter(|_| !moved) {
            Some(address) => Ok(Self { start: address.wrapping_sub(number.wrapping_mul(size)), ranges }),
            None => Err("our own page was not found in kernel memory".into()),
        })
    }
}

/// One page of a file that nobody else has.
struct OwnPage {
    file: File,
    address: std::ptr::NonNull<std::ffi::c_void>,
    length: NonZeroUsize,
    name: String,
}

impl OwnPage {
    fn new() -> io::Result<Self> {
        let name = format!("memcg-trace page {}", std::process::id());
        let file = File::from(memfd_create(name.as_str(), MFdFlags::MFD_CLOEXEC)?);
        let length = NonZeroUsize::new(page_bytes()).ok_or(io::ErrorKind::Unsupported)?;
        file.write_all_at(&vec![1; length.get()], 0)?;
        // SAFETY: a new mapping, where the kernel finds room for it.
        let address = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, &file, 0) }?;
        Ok(Self { file, address, length, name })
    }

    /// 0: hidden.
    fn number(&self) -> io::Result<u64> {
        // SAFETY: mapped for as long as we are, and as long as one byte at least.
        let _ = unsafe { self.address.cast::<u8>().read_volatile() };
        let mut entry = [0; 8];
        let index = self.address.as_ptr() as u64 / self.length.get() as u64;
        File::open("/proc/self/pagemap")?.read_exact_at(&mut entry, index * 8)?;
        Ok(u64::from_ne_bytes(entry) & NUMBER)
    }

    /// Address of its `struct page`: from our own descriptors to the file, to its only page.
    fn address(&self, pass: &mut Pass<'_>) -> Result<Option<u64>, MemoryError> {
        use std::os::unix::fs::MetadataExt as _;
        let inode = self.file.metadata().map_or(0, |metadata| metadata.ino());
        let tasks = Tasks::named_as_we(pass)?;
        let open = OpenFiles::read(pass, &tasks)?;
        let name = format!("memfd:{}", self.name);
        for file in open.on(b"tmpfs").filter(|file| file.number == inode) {
            let path = paths::read(pass.memory, &pass.layout.dentry, &[file.dentry])?.pop().flatten();
            if path.is_some_and(|path| *path.path == *name.as_bytes()) {
                let mapping = pass.memory.pointers(&[file.inode], pass.layout.inode.mapping)?;
                let page = pass.memory.pointers(&mapping, pass.layout.mapping.first)?[0];
                return Ok(Some(page).filter(|page| *page != 0 && page & ENTRY_KIND == 0));
            }
        }
        Ok(None)
    }
}

impl Drop for OwnPage {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; no reference to it was given out.
        let _ = unsafe { munmap(self.address, self.length.get()) };
    }
}

/// Numbers of pages that are memory, by /proc/iomem.
fn ranges() -> io::Result<Vec<Range<u64>>> {
    Ok(parse(&fs::read_to_string("/proc/iomem")?, page_bytes() as u64))
}

/// `00001000-0009fbff : System RAM`; all zeros without CAP_SYS_ADMIN.
fn parse(text: &str, page_bytes: u64) -> Vec<Range<u64>> {
    let range = |line: &str| {
        let (range, name) = line.trim().split_once(" : ")?;
        let (start, last) = range.split_once('-')?;
        let (start, last) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(last, 16).ok()?);
        let pages = start.div_ceil(page_bytes)..last.checked_add(1)? / page_bytes;
        (name == "System RAM" && pages.start < pages.end).then_some(pages)
    };
    text.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_pages_of_system_ram() {
        let text = "00000000-00000fff : Reserved\n00001000-0009fbff : System RAM\n  00002000-00002fff : Kernel code\n\
                    100000000-1ffffffff : System RAM\n00000000-00000000 : System RAM\n";
        assert_eq!(parse(text, 4096), [1..0x9f, 0x10_0000..0x20_0000]);
    }
}
