//! Addresses and names of kernel functions and data, from /proc/kallsyms.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read as _, Seek as _},
    sync::OnceLock,
};

use foldhash::HashMap;
use thiserror::Error;

use crate::{
    kernel::{ability::Lack, pod},
    slab::Symbol,
};

const SYMBOLS: &str = "/proc/kallsyms";
const RESTRICT: &str = "/proc/sys/kernel/kptr_restrict";
/// Bytes of it that are read at once; the kernel gives at most so many.
const READ_BYTES: usize = 1 << 16;

/// Why an address is not known.
#[derive(Debug, Error)]
pub enum SymbolError {
    #[error("cannot read {SYMBOLS}: {0}")]
    Unreadable(#[from] io::Error),
    /// `kallsyms_show_value`, kernel/ksyms_common.c.
    #[error("{SYMBOLS} hides all addresses without CAP_SYSLOG")]
    Hidden,
    #[error("{SYMBOLS} hides all addresses: kernel.kptr_restrict is 2")]
    Restricted,
    #[error(
        "{SYMBOLS} does not list {0}: this kernel lists functions alone (no CONFIG_KALLSYMS_ALL), or has none"
    )]
    Absent(&'static str),
}

/// All that is asked for by name, sorted. The kernel takes 50 ms or more to write its list: it is read once, for all.
const NAMES: &[&str] = &[
    "__per_cpu_offset",
    "_einittext",
    "_etext",
    "_sinittext",
    "mem_cgroup_idr",
    "mem_cgroup_stats_index",
    "memcg_stock",
    "nr_swapfiles",
    "page_offset_base",
    "root_mem_cgroup",
    "runqueues",
    "shmem_swaplist",
    "slab_caches",
    "swap_cgroup_ctrl",
    "swap_info",
    "vmemmap_base",
];

/// The address of each of [`NAMES`] that is listed. The kernel's own symbols stay where they are until it ends.
#[derive(Debug, Default, PartialEq, Eq)]
struct Addresses {
    found: HashMap<&'static str, u64>,
    /// All are listed, and none is shown.
    hidden: bool,
}

/// The list, opened before privileges were dropped: whether it shows addresses goes by those of then (`kallsyms_open`).
static OPENED: OnceLock<File> = OnceLock::new();

/// Opens the list for a [`symbol`] that may be asked for later, and reads it then.
pub fn open_early() {
    if OPENED.get().is_none()
        && let Ok(list) = File::open(SYMBOLS)
    {
        let _ = OPENED.set(list);
    }
}

/// Address of a function or variable of the kernel itself, one of [`NAMES`].
pub fn symbol(name: &'static str) -> Result<u64, SymbolError> {
    static ADDRESSES: OnceLock<Addresses> = OnceLock::new();
    debug_assert!(NAMES.contains(&name), "{name} is not among the names that are looked for");
    let addresses = match ADDRESSES.get() {
        Some(addresses) => addresses,
        None => {
            let opened;
            let mut list = match OPENED.get() {
                Some(list) => list,
                None => {
                    opened = File::open(SYMBOLS)?;
                    &opened
                }
            };
            list.rewind()?;
            let addresses = Addresses::read(BufReader::with_capacity(READ_BYTES, list))?;
            ADDRESSES.get_or_init(|| addresses)
        }
    };
    let restricted = || fs::read_to_string(RESTRICT).is_ok_and(|level| level.trim() == "2");
    match addresses.of(name) {
        Err(SymbolError::Hidden) if restricted() => Err(SymbolError::Restricted),
        address => address,
    }
}

impl Addresses {
    fn read(mut list: impl BufRead) -> io::Result<Self> {
        let (mut found, mut hidden) = (HashMap::default(), true);
        let mut line = Vec::new();
        while list.read_until(b'\n', &mut line)? > 0 {
            // `ffffffff9e63f440 T name`, and a module: these come behind all of the kernel itself.
            if line.ends_with(b"]\n") {
                break;
            }
            if let Some((address, rest)) = line.split_at_checked(16)
                && address.iter().any(|&digit| digit != b'0')
            {
                hidden = false;
                let name = rest.get(3..).and_then(known);
                let address = name.and_then(|_| u64::from_str_radix(str::from_utf8(address).ok()?, 16).ok());
                if let Some((name, address)) = name.zip(address) {
                    found.entry(name).or_insert(address);
                }
            }
            line.clear();
        }
        Ok(Self { found, hidden })
    }

    fn of(&self, name: &'static str) -> Result<u64, SymbolError> {
        match self.found.get(name) {
            Some(address) => Ok(*address),
            None if self.hidden => Err(SymbolError::Hidden),
            None => Err(SymbolError::Absent(name)),
        }
    }
}

/// Which of [`NAMES`] it is that follows address and type.
fn known(rest: &[u8]) -> Option<&'static str> {
    let name = rest.trim_ascii_end();
    NAMES.binary_search_by(|known| known.as_bytes().cmp(name)).ok().map(|at| NAMES[at])
}

impl Lack for SymbolError {
    fn next_step(&self) -> String {
        match self {
            Self::Unreadable(_) => "mount /proc",
            Self::Hidden => "run it as root, or with CAP_SYSLOG",
            Self::Restricted => "sysctl kernel.kptr_restrict=1",
            Self::Absent(_) => "a kernel with CONFIG_KALLSYMS_ALL=y",
        }
        .to_owned()
    }

    fn manifest(&self) -> Option<&'static str> {
        matches!(self, Self::Hidden).then_some(pod::SYSLOG)
    }
}

/// Assumed size of the last function of a module or of the kernel, as the list has no sizes. There is an empty page
/// between modules.
const LAST_FUNCTION: u64 = 4096;

/// The kernel's list of symbols. Opened once, before privileges are dropped, and re-read for each lookup: modules come
/// and go.
pub struct Symbols(File);

impl Symbols {
    pub fn open() -> io::Result<Self> {
        File::open(SYMBOLS).map(Self)
    }

    /// The function at each of `addresses`; `None`: no function is there now.
    pub fn at(&mut self, addresses: &[u64]) -> io::Result<Vec<Option<Symbol>>> {
        self.0.rewind()?;
        let mut text = Vec::new();
        self.0.read_to_end(&mut text)?;
        let functions = functions(&text);
        Ok(addresses.iter().map(|&address| at(&functions, address)).collect())
    }

    /// Whether a function with one of these names exists.
    pub fn has(&mut self, names: &[&str]) -> io::Result<bool> {
        self.0.rewind()?;
        for line in BufReader::new(&self.0).lines() {
            let line = line?;
            let name = line.split_whitespace().nth(2);
            if name.is_some_and(|name| names.contains(&name)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Function<'a> {
    address: u64,
    name: &'a [u8],
    /// `None`: the kernel itself.
    module: Option<&'a [u8]>,
}

/// All functions, sorted by address. Modules list theirs in any order.
fn functions(text: &[u8]) -> Vec<Function<'_>> {
    let mut functions: Vec<_> = text.split(|&byte| byte == b'\n').filter_map(parse).collect();
    // Stable sort: of several names for an address, the first stays first.
    functions.sort_by_key(|function| function.address);
    functions
}

/// Parses `ffffffff9e63f440 T name`, with an optional `\t[module]`. `None`: not a function, or hidden.
fn parse(line: &[u8]) -> Option<Function<'_>> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (address, kind, name, module) = (words.next()?, words.next()?, words.next()?, words.next());
    let address = u64::from_str_radix(str::from_utf8(address).ok()?, 16).ok()?;
    let module = module.and_then(|module| module.strip_prefix(b"[")?.strip_suffix(b"]"));
    let code = matches!(kind, b"t" | b"T" | b"w" | b"W");
    (code && address != 0).then_some(Function { address, name, module })
}

/// The last function that starts at or before `address`, unless it ends before.
fn at(functions: &[Function<'_>], address: u64) -> Option<Symbol> {
    let behind = functions.partition_point(|function| function.address <= address);
    let start = functions.get(behind.checked_sub(1)?)?.address;
    let first = functions.partition_point(|function| function.address < start);
    let Function { name, module, .. } = functions[first];
    let offset = address - start;
    let inside = functions.get(behind).is_some_and(|next| next.module == module) || offset < LAST_FUNCTION;
    inside.then(|| Symbol { function: name.into(), offset, module: module.map(Into::into) })
}

/// Names of the loaded modules; empty if they cannot be read.
pub fn modules() -> Vec<Box<[u8]>> {
    let text = fs::read("/proc/modules").unwrap_or_default();
    let name = |line: &[u8]| line.split(|&byte| byte == b' ').next().map(Into::into);
    text.split(|&byte| byte == b'\n').filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[u8] = b"ffffffff81000000 T _stext\n\
        ffffffff81000100 t do_one_initcall\n\
        ffffffff81000200 D not_code\n\
        ffffffff81000300 T __kmem_cache_create_args\n\
        ffffffff81001000 T _etext\n\
        ffffffffc0001040 t first\t[alpha]\n\
        ffffffffc0001000 t alpha_start\t[alpha]\n\
        ffffffffc0001000 t init_module\t[alpha]\n\
        ffffffffc0009000 t last\t[omega]\n";

    fn named(address: u64) -> Option<String> {
        let Symbol { function, offset, module } = at(&functions(LIST), address)?;
        let module = module.map(|module| format!(" [{}]", module.escape_ascii())).unwrap_or_default();
        Some(format!("{}+{offset:#x}{module}", function.escape_ascii()))
    }

    #[test]
    fn functions_of_kernel_and_modules() {
        let table = [
            (0xffff_ffff_8100_0250, "do_one_initcall+0x150"),
            (0xffff_ffff_8100_0300, "__kmem_cache_create_args+0x0"),
            (0xffff_ffff_c000_1005, "alpha_start+0x5 [alpha]"),
            (0xffff_ffff_c000_1041, "first+0x1 [alpha]"),
            (0xffff_ffff_c000_9fff, "last+0xfff [omega]"),
        ];
        for (address, symbol) in table {
            assert_eq!(named(address).as_deref(), Some(symbol), "{address:#x}");
        }
    }

    #[test]
    fn code_that_is_gone_has_no_name() {
        // Between the modules, after the last one, and before the kernel.
        for address in [0xffff_ffff_c000_5000, 0xffff_ffff_c000_a000, 0xffff_ffff_8000_0000] {
            assert_eq!(named(address), None, "{address:#x}");
        }
    }

    #[test]
    fn names_are_sorted() {
        assert!(NAMES.is_sorted());
        assert_eq!(known(b"slab_caches\n"), Some("slab_caches"));
    }

    #[test]
    fn why_a_symbol_has_no_address() {
        let address = |list: &str| {
            let addresses = Addresses::read(list.as_bytes()).expect("a list in memory");
            addresses.of("slab_caches")
        };
        let why = |list: &str| address(list).expect_err("no address").to_string();
        let list = "0000000000000000 A per_cpu_start\nffffffff81000000 T _stext\n";
        assert!(why(list).contains("CONFIG_KALLSYMS_ALL"));
        assert!(
            why(&format!("{list}ffffffff82000000 D slab_caches_of_another\n"))
                .contains("CONFIG_KALLSYMS_ALL")
        );
        let listed = format!("{list}ffffffff82000000 D slab_caches\nffffffff82000008 d slab_caches\n");
        assert_eq!(address(&listed).ok(), Some(0xffff_ffff_8200_0000));
        // That of a module is another.
        let of_module = "ffffffffc0001000 d slab_caches\t[alpha]\n";
        assert!(why(&format!("{list}{of_module}")).contains("CONFIG_KALLSYMS_ALL"));
        let hidden = "0000000000000000 T _stext\n0000000000000000 D slab_caches\n";
        assert!(why(hidden).contains("CAP_SYSLOG"));
    }

    #[test]
    fn hidden_addresses_are_no_symbols() {
        assert_eq!(parse(b"0000000000000000 T kmem_cache_create\n"), None);
        assert_eq!(parse(b"ffffffff81000000 D slab_caches\n"), None);
        assert_eq!(parse(b"rubbish"), None);
    }
}
