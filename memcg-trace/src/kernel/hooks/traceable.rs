//! Explains why a function cannot be hooked, from the kernel's lists of symbols and traceable functions.

use std::fs;

const SYMBOLS: &str = "/proc/kallsyms";
const REFUSED: &str = "/sys/kernel/debug/kprobes/blacklist";
const TRACEABLE: [&str; 2] = [
    "/sys/kernel/tracing/available_filter_functions",
    "/sys/kernel/debug/tracing/available_filter_functions",
];

/// The reason according to the kernel's lists; `None`: they do not explain it.
pub fn why_not(function: &str) -> Option<String> {
    let symbols = fs::read_to_string(SYMBOLS).ok();
    let traceable = TRACEABLE.iter().find_map(|path| fs::read_to_string(path).ok());
    let refused = fs::read_to_string(REFUSED).ok();
    explain(function, symbols.as_deref(), traceable.as_deref(), refused.as_deref())
}

/// Lines of the three lists: `address type name [module]`, `name [module]`, `start-end name`.
fn explain(
    function: &str,
    symbols: Option<&str>,
    traceable: Option<&str>,
    refused: Option<&str>,
) -> Option<String> {
    let column = |line: &str, column: usize| line.split_whitespace().nth(column).map(str::to_owned);
    if let Some(symbols) = symbols {
        let names = symbols.lines().filter_map(|line| column(line, 2));
        // `f.part.0`, `f.isra.0`, `f.constprop.0`
        let is_clone = |name: &String| name.strip_prefix(function).is_some_and(|rest| rest.starts_with('.'));
        let found: Vec<_> = names.filter(|name| name == function || is_clone(name)).collect();
        let Some(first) = found.first() else {
            return Some(format!("this kernel has no function {function}, or the compiler inlined it"));
        };
        if !found.iter().any(|name| name == function) {
            return Some(format!("the compiler left only {first}, a part of it"));
        }
    }
    let listed =
        |list: &str, at: usize| list.lines().any(|line| column(line, at).as_deref() == Some(function));
    if refused.is_some_and(|refused| listed(refused, 1)) {
        return Some(format!("it is on the kprobe blacklist ({REFUSED})"));
    }
    if traceable.is_some_and(|traceable| !listed(traceable, 0)) {
        return Some("it is not in the kernel's list of traceable functions".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explains_a_refusal() {
        const SYMBOLS: &str = "\
            0000000000000000 t memcg_offline_kmem.part.0\n\
            0000000000000000 T mem_cgroup_css_free\n\
            0000000000000000 t nfs_free\t[nfs]\n";
        const REFUSED: &str = "0xffffffff81000000-0xffffffff81000010\tmem_cgroup_css_free\n";
        type Row<'a> = (&'a str, Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<&'a str>);
        let table: &[Row<'_>] = &[
            ("memcg_offline_kmem", Some(SYMBOLS), None, None, Some("only memcg_offline_kmem.part.0")),
            ("mem_cgroup", Some(SYMBOLS), None, None, Some("no function mem_cgroup,")),
            ("mem_cgroup_css_free", Some(SYMBOLS), None, Some(REFUSED), Some("kprobe blacklist")),
            (
                "mem_cgroup_css_free",
                Some(SYMBOLS),
                Some("nfs_free [nfs]\n"),
                None,
                Some("not in the kernel's list"),
            ),
            ("nfs_free", Some(SYMBOLS), Some("nfs_free [nfs]\n"), Some(REFUSED), None),
            ("anything", None, None, None, None),
        ];
        for (function, symbols, traceable, refused, expected) in table {
            let why = explain(function, *symbols, *traceable, *refused);
            match expected {
                Some(part) => {
                    assert!(why.as_deref().unwrap_or_default().contains(part), "{function}: {why:?}")
                }
                None => assert_eq!(why, None, "{function}"),
            }
        }
    }
}
