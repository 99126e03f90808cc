//! `slab` without hooks: changes in the kernel's list.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{
    eventually, machine,
    process::{command, run},
    tracer::{Tracer, parse},
};

/// Object size of a zram device's first cache (`ZS_HANDLE_SIZE`): no other cache is that small.
const HANDLES: &str = "/sys/kernel/slab/:0000008";

/// A zram device. It has caches once it has a size; removed at the end of the test.
struct Zram(String);

impl Zram {
    fn add() -> Self {
        let number = fs::read_to_string("/sys/class/zram-control/hot_add").expect("zram in the kernel");
        Self(number.trim().to_owned())
    }

    fn write(&self, file: &str, value: &str) {
        let path = format!("/sys/block/zram{}/{file}", self.0);
        fs::write(&path, value).unwrap_or_else(|error| panic!("write {path}: {error}"));
    }
}

impl Drop for Zram {
    fn drop(&mut self) {
        let _ = fs::write(format!("/sys/block/zram{}/reset", self.0), "1");
        let _ = fs::write("/sys/class/zram-control/hot_remove", &self.0);
    }
}

#[test]
fn a_cache_comes_and_goes() {
    let _machine = machine();
    let zram = Zram::add();
    // If another zram device had such a cache, that of this one would be merged into it.
    eventually("other zram devices to go", || {
        if Path::new(HANDLES).exists() { Err(HANDLES.to_owned()) } else { Ok(()) }
    });
    let mut tracer = Tracer::spawn(command().args(["slab", "--watch", "1", "-o", "json"]));
    let name = format!("zs_handle-zram{}", zram.0);
    let about = |event: &Value, kind: &str| event["event"] == kind && event["slab_cache"]["name"] == name;

    let before = tracer.next("slab_delta", |_| true);
    zram.write("disksize", "16M");
    let created = tracer.event_where("creation", |event| about(event, "slab_created"));
    assert_eq!(created["creator"], Value::Null, "a list does not tell: {created}");
    let after = tracer.next("slab_delta", |_| true);
    assert!(after["created"].as_u64() >= Some(1), "{after}");
    let count = |delta: &Value, name: &str| delta[name].as_u64().expect("a count");
    let expected = count(&before, "caches") + count(&after, "created") - count(&after, "released");
    assert_eq!(count(&after, "caches"), expected, "{before} {after}");

    zram.write("reset", "1");
    tracer.event_where("release", |event| about(event, "slab_released"));
    let gone = tracer.next("slab_delta", |_| true);
    assert!(count(&gone, "released") >= 1, "{gone}");
    let expected = count(&after, "caches") + count(&gone, "created") - count(&gone, "released");
    assert_eq!(count(&gone, "caches"), expected, "{after} {gone}");

    let outcome = tracer.stop();
    assert_eq!((outcome.code, &outcome.summary["backend"]), (Some(0), &json!("list")), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("unknown: who creates caches"), "it says so: {}", outcome.stderr);
    assert_eq!(outcome.summary["kernel_caches"], outcome.summary["live"], "{}", outcome.summary);
    assert_eq!(outcome.summary["per_memcg_caches"], json!(false), "{}", outcome.summary);
}

#[test]
fn one_look() {
    let _machine = machine();
    let output = run(command().args(["slab", "-o", "json"]));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Value> = String::from_utf8_lossy(&output.stdout).lines().map(parse).collect();
    let (summary, caches) = lines.split_last().expect("a summary");
    assert_eq!(summary["type"], "summary");
    assert_eq!(summary["live"], json!(caches.len()), "{summary}");
    let names: Vec<_> = caches.iter().filter_map(|line| line["slab_cache"]["name"].as_str()).collect();
    // One of the allocator itself, one of the kernel, and one with objects.
    for name in ["kmalloc-64", "task_struct", "dentry"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let text = run(command().args(["slab", "--by", "module"]));
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("memcgs share caches"), "silence must not read as \"no leak\": {text}");
}
