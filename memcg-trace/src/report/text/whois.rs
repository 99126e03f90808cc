//! One block for each question: the path, and each fact that is known.

use std::io::{self, Write};

use super::{BAD, Color, HEADING};
use crate::report::view::{PathSource, WhoisView};

/// One answer.
pub fn whois(out: &mut impl Write, view: &WhoisView<'_>, color: Color) -> io::Result<()> {
    let heading = color.style(HEADING);
    writeln!(out, "{heading}{}{heading:#}", view.query)?;
    if let Some(error) = &view.error {
        let bad = color.style(BAD);
        return writeln!(out, "  {bad}{error}{bad:#}");
    }
    let source = match view.path_source {
        None | Some(PathSource::Given) => None,
        Some(PathSource::Proc) => Some("/proc/PID/cgroup"),
        Some(PathSource::Hierarchy) => Some("the mounted hierarchy"),
    };
    if let (Some(path), Some(source)) = (&view.path, source) {
        writeln!(out, "  path       {path} (from {source})")?;
    }
    let Some(container) = &view.container else {
        return writeln!(out, "  no container or pod: the path proves none");
    };
    let facts = [
        ("container", container.id.clone()),
        ("pod UID", container.pod_uid.clone()),
        ("runtime", container.runtime.map(|runtime| runtime.to_string())),
        ("driver", container.driver.map(|driver| driver.to_string())),
        ("QoS class", container.qos.map(|qos| qos.to_string())),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            writeln!(out, "  {name:10} {fact} (from the {})", container.source)?;
        }
    }
    Ok(())
}
