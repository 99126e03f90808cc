//! `cargo xtask look`: the pages of `memcg-trace report` in a browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::process::{self, step};
use crate::workspace::{Profile, Workspace};
use crate::{build, test};

/// Open the pages of `memcg-trace report` in a headless Chromium, check them there, and take pictures.
///
/// The pages are those of the tests: from the recording of each kernel, with a few and with thousands of zombies, with hostile
/// names, and of two runs. Checked on a screen and on a telephone: nothing is loaded, no script runs, the console stays empty,
/// no text overlaps another in a plot or is cut off, each plot has a title and marks, text stands out from its background. The
/// pictures are in target/look.
///
/// Needs `chromium`. Not part of the tests that CI runs: it would install 250 MB there each time, to see what only changes with
/// the few files that make the page; that the page is the same, golden files tell.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask look
  cargo xtask look el7")]
pub struct Args {
    /// Only pages whose name contains this
    #[arg(value_name = "NAME")]
    page: Option<String>,
}

/// Shows a page in two widths side by side, and checks both.
const FRAME: &str = include_str!("look/frame.html");
/// Long enough for the longest page.
const WINDOW: &str = "--window-size=1720,6000";
/// What `preferredColorScheme` calls them.
const SCHEMES: [(&str, &str); 2] = [("dark", "0"), ("light", "1")];

pub fn task(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let workspace = &workspace.with(Profile::Integration);
    let Some(chromium) = process::find("chromium") else {
        bail!("chromium is missing; on Debian, install the package chromium");
    };
    step("write the pages", || {
        build::build(workspace)?;
        process::run(test::of_loader(workspace)?.args(["--test", "report"]))
    })?;
    let tests = workspace.target.join(workspace.arch.triple).join("tmp");
    let look = Look { chromium, directory: workspace.target.join("look") };
    fs::create_dir_all(&look.directory)
        .with_context(|| format!("cannot create {}", look.directory.display()))?;
    let mut faults = 0;
    for page in pages(&tests, args.page.as_deref())? {
        let found = look.at(&page).with_context(|| format!("cannot look at {}", page.display()))?;
        println!("{}: {}", page.display(), if found.is_empty() { "good" } else { "faults" });
        found.iter().for_each(|fault| println!("  {fault}"));
        faults += found.len();
    }
    println!("{faults} faults; pictures: {}", look.directory.display());
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The pages that the tests left.
fn pages(directory: &Path, name: Option<&str>) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut pages: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    pages.retain(|page| {
        let file = page.file_name().unwrap_or_default().to_string_lossy();
        file.starts_with("report-") && file.ends_with(".html") && name.is_none_or(|name| file.contains(name))
    });
    pages.sort();
    if pages.is_empty() {
        bail!("{} has no such page", directory.display());
    }
    Ok(pages)
}

struct Look {
    chromium: PathBuf,
    directory: PathBuf,
}

impl Look {
    /// Takes the pictures, and returns what is wrong.
    fn at(&self, page: &Path) -> Result<Vec<String>> {
        let name = page.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let frame = self.directory.join(format!("{name}-frame.html"));
        fs::write(&frame, FRAME.replace("PAGE", &format!("file://{}", page.display())))?;
        let mut faults = Vec::new();
        for (scheme, number) in SCHEMES {
            let picture = self.directory.join(format!("{name}-{scheme}.png"));
            let arguments = [format!("--screenshot={}", picture.display())];
            self.browse(&frame, number, &arguments)?;
            let (dom, console) = self.browse(&frame, number, &["--dump-dom".to_owned()])?;
            let (_, found) = dom.split_once("<pre id=\"faults\">").context("the page was not checked")?;
            let (found, _) = found.split_once("</pre>").context("the page was not checked")?;
            let Some(found) = found.strip_prefix("checked\n") else {
                bail!("the checks did not end: {found}");
            };
            faults.extend(found.lines().map(|fault| format!("{scheme}: {fault}")));
            faults.extend(console.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned));
        }
        Ok(faults)
    }

    /// Standard output and standard error.
    fn browse(&self, frame: &Path, scheme: &str, arguments: &[String]) -> Result<(String, String)> {
        let mut browser = Command::new(&self.chromium);
        browser.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", WINDOW]);
        browser.args(["--enable-logging=stderr", "--allow-file-access-from-files"]);
        browser.arg(format!("--blink-settings=preferredColorScheme={scheme}"));
        browser.arg(format!("--user-data-dir={}", self.directory.join("profile").display()));
        browser.args(["--timeout=30000", "--virtual-time-budget=10000"]);
        let output = browser.args(arguments).arg(format!("file://{}", frame.display())).output()?;
        if !output.status.success() {
            bail!("chromium failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok((text(output.stdout), text(output.stderr)))
    }
}
