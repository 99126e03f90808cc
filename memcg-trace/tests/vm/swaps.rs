//! Swap entries of dying memcgs, by device and by whom they belong to.

use std::{collections::BTreeSet, process};

use serde_json::{Value, json};

use crate::{
    support::{
        cgroup::Cgroup,
        eventually, evict_stocks,
        explain::Explain,
        pins::{PAGE, Swap, TmpfsFile, swapped_pages, swapped_task},
    },
    vm,
};

/// Pages of the file. A CPU that swaps uses up its cluster of a device before it turns to the one that goes first
/// (`swap_alloc_fast`, mm/swapfile.c, since 6.15): more than clusters of 512 pages, one for each of two CPUs.
const PAGES: u64 = 4 * 512;

/// Two devices, with pages of a process on one and of a file on the other.
#[test]
fn by_device_and_owner() {
    let _machine = vm();
    let home = Cgroup::home("swaps");
    let (of_process, of_file) = (home.child("process"), home.child("file"));
    let first = Swap::on_zram();
    let (task, _) = swapped_task(&of_process, &first);
    let second = Swap::before_others();
    let file = TmpfsFile::of(&of_file, PAGES * PAGE);
    eventually("the file to be swapped out", || {
        of_file.reclaim();
        let pages = swapped_pages(&of_file);
        if pages > PAGES / 4 * 3 { Ok(()) } else { Err(format!("{pages} pages swapped")) }
    });
    let ids = [&of_process, &of_file].map(|cgroup| {
        let id = cgroup.id();
        cgroup.remove();
        id
    });
    let swap_of = |explain: &Explain, id| -> Result<Value, String> {
        let pins = explain.of_cgroup(id);
        let swap = pins.iter().find(|part| part["pin"] == "swap");
        swap.map(|part| (*part).clone()).ok_or_else(|| format!("{pins:#?}"))
    };
    eventually("devices and owners to be named", || {
        evict_stocks();
        let explain = Explain::of(&home);
        let [process, of_file] = ids.map(|id| swap_of(&explain, id));
        let (process, of_file) = (process?, of_file?);
        let expected = [
            (&process, &first, "processes", json!({ "pid": task.pid(), "comm": "tail" })),
            (&of_file, &second, "files", json!({ "path": file.path() })),
        ];
        for (part, swap, owners, owner) in expected {
            let devices = part["swap"]["devices"].as_array().map_or(&[][..], Vec::as_slice);
            let is_owner = |owned: &Value| {
                owner.as_object().is_some_and(|keys| keys.iter().all(|(key, value)| owned[key] == *value))
            };
            // Entries that were freed, and that a CPU keeps at hand (up to 6.12), are nobody's.
            let owned = devices.iter().all(|device| is_owner(&device[owners][0]));
            let entries: u64 = devices.iter().filter_map(|device| device["entries"].as_u64()).sum();
            let names: Vec<&str> = devices.iter().filter_map(|device| device["device"].as_str()).collect();
            // A CPU takes from the first device what it had at hand of it.
            let on_it = names.contains(&&*swap.device());
            let steps: Vec<String> =
                names.iter().map(|name| format!("swapoff {name} && swapon {name}")).collect();
            let act = part["act"] == steps.join(" && ");
            if !on_it || !owned || !act || Some(entries) > part["swap"]["entries"].as_u64() || entries == 0 {
                return Err(format!("not {owner} on {}: {part:#}", swap.device()));
            }
        }
        Ok(())
    });

    let explain = Explain::of(&home);
    let act = swap_of(&explain, ids[1]).expect("what swap pins")["act"].clone();
    let done = process::Command::new("sh").args(["-c", act.as_str().expect("a command")]).output();
    assert!(done.expect("run what was printed").status.success());
    eventually("its swap entries to be freed", || {
        evict_stocks();
        let explain = Explain::of(&home);
        let left: BTreeSet<_> =
            explain.of_cgroup(ids[1]).iter().map(|part| part["pin"].to_string()).collect();
        if left.contains("\"swap\"") { Err(format!("{left:?}")) } else { Ok(()) }
    });
}
