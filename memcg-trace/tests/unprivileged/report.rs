//! `memcg-trace report`: pages from recordings.
//!
//! The pages stay in the target directory's tmp, to be looked at. `UPDATE_GOLDEN=1 cargo test --test unprivileged report` writes the golden
//! ones anew.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const POLICY: &str = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;\">";

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recordings/{name}.recording"))
}

fn written(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
    path
}

fn report(arguments: &[&str], files: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memcg-trace"));
    command.arg("report").args(arguments).args(files).env_remove("RUST_LOG");
    command.output().unwrap_or_else(|error| panic!("run {command:?}: {error}"))
}

/// The page on standard output.
fn page(name: &str, arguments: &[&str], files: &[&Path]) -> String {
    let output = report(arguments, files);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    written(&format!("report-{name}.html"), &output.stdout);
    let page = String::from_utf8(output.stdout).expect("a page is UTF-8");
    check(&page);
    page
}

/// What every page must be.
fn check(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>"));
    assert_eq!(page.matches(POLICY).count(), 1);
    // Nothing runs, and nothing is fetched: there is no element and no attribute for it.
    for forbidden in [
        "<script",
        "<img",
        "<link",
        "<iframe",
        "<object",
        " href=\"",
        " src=\"",
        " onload=\"",
        "url(",
        "@import",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let plots = page.matches("<svg class=\"plot").count();
    assert_eq!(page.matches("<figure>").count() * 2, plots, "each is drawn for two widths");
    assert_eq!(page.matches(" role=\"img\"><title>").count(), plots);
    assert!(!page.contains("NaN") && !page.contains("inf "), "a plot without numbers");
}

/// The page that docs/ shows. Only the version in it may be another.
#[test]
fn as_documented() {
    let page = page("6.12-jobs", &[], &[&recorded("6.12-jobs")]);
    assert!(
        page.contains("<h1>This node leaks memory cgroups: 22 of 45 removed are still there after 5s</h1>")
    );
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/REPORT.html");
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &page).expect("the page can be written");
    }
    let documented = fs::read_to_string(&file).unwrap_or_default();
    let without_version = |page: &str| match page.split_once("<span>memcg-trace ") {
        Some((before, after)) => {
            format!("{before}{}", after.split_once("</span>").map_or("", |(_, rest)| rest))
        }
        None => panic!("no version: {page}"),
    };
    assert_eq!(
        without_version(&documented),
        without_version(&page),
        "UPDATE_GOLDEN=1 writes docs/REPORT.html anew"
    );
}

#[test]
fn every_kernel() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let files = fs::read_dir(folder).expect("the recordings").flatten().map(|entry| entry.path());
    let recordings: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "recording")).collect();
    assert!(recordings.len() >= 7, "{recordings:?}");
    for recording in recordings {
        let name = recording.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let page = page(&name, &[], &[&recording]);
        let headline =
            page.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).expect("a headline");
        let expected = match &*name {
            "5.4.286" => "No leak in 10.5s, but some memory cgroups went late",
            _ => "This node leaks memory cgroups: ",
        };
        assert!(headline.starts_with(expected), "{name}: {headline}");
    }
}

/// Names that try to be markup stay names, and lists that are cut short say so.
#[test]
fn few_and_many_zombies() {
    for zombies in [3, 5_000] {
        let name = format!("{zombies}-zombies");
        let recording = written(&name, &crate::zombies::recording(zombies));
        let page = page(&name, &[], &[&recording]);
        assert!(page.len() <= 2_000_000, "{} bytes", page.len());
        for hostile in ["<b>", "<i>", "<hook>", "</svg><script", "\" onload", "\u{202e}", "\x1b", "sle<ep>"] {
            assert!(!page.contains(hostile), "{hostile:?}");
        }
        assert!(page.contains("&lt;hook&gt;") && page.contains("&lt;i&gt;test&lt;/i&gt;"));
        let more = "4,500 more (memcg-trace replay -o json has all)";
        assert_eq!(page.contains(more), zombies > 500);
        assert_eq!(page.contains("cron-&lt;b&gt;bold&lt;/b&gt;"), zombies > 500);
    }
}

#[test]
fn a_fix_is_seen_first() {
    let [before, after] =
        [1_000, 40].map(|zombies| written(&format!("{zombies}-fixed"), &crate::zombies::recording(zombies)));
    let arguments = ["--before", before.to_str().expect("a path of ours")];
    // Nothing else changed: the later run is as long, and leaks less.
    let page = page("fix", &[arguments.as_slice(), &["--grace", "30s"]].concat(), &[&after]);
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}: {page}"));
    assert!(place("<h2>What changed</h2>") < place("<h2>Over time</h2>"));
    assert!(page.contains("Before: ") && page.contains("After: "));
}

#[test]
fn cut_off_is_inconclusive() {
    let whole = fs::read(recorded("6.12-v2")).expect("a recording");
    let cut = written("cut.recording", &whole[..whole.len() * 3 / 4]);
    let output = report(&[], &[&cut]);
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    let page = String::from_utf8(output.stdout).expect("a page is UTF-8");
    check(&page);
    assert!(page.contains("<h1>It cannot be said for certain whether this node leaks memory cgroups</h1>"));
    assert!(page.contains("the recording was cut off"), "{page}");
}

#[test]
fn the_file_is_replaced_or_left_alone() {
    let file = written("replaced.html", b"old");
    let arguments = ["-o", file.to_str().expect("a path of ours")];
    let output = report(&arguments, &[Path::new("/nowhere/at-all")]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read(&file).expect("it is still there"), b"old");
    let output = report(&arguments, &[&recorded("6.12-v2")]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata = fs::metadata(&file).expect("the page");
    assert_eq!((metadata.permissions().mode() & 0o777, output.stdout.len()), (0o600, 0));
    check(&fs::read_to_string(&file).expect("the page"));
}
