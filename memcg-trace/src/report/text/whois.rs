//! One block per query: the path and all known facts.

use std::io::{self, Write};

use super::{BAD, HEADING, Page, words::name_of};
use crate::{
    attribution::{Container, Fact},
    report::view::{PathSource, WhoisView},
};

/// One answer.
pub fn whois(out: &mut impl Write, view: &WhoisView<'_>, page: impl Into<Page>) -> io::Result<()> {
    let page = page.into();
    let heading = page.style(HEADING);
    writeln!(out, "{heading}{}{heading:#}", view.query)?;
    if let Some(error) = &view.error {
        let bad = page.style(BAD);
        return writeln!(out, "  {bad}{error}{bad:#}");
    }
    let source = match view.path_source {
        None | Some(PathSource::Given) => None,
        Some(PathSource::Proc) => Some("/proc/PID/cgroup"),
        Some(PathSource::Hierarchy) => Some("the mounted hierarchy"),
        Some(PathSource::Kernel) => Some("/proc/PID/cgroup, and the kernel: our cgroup namespace is private"),
    };
    if let (Some(path), Some(source)) = (&view.path, source) {
        writeln!(out, "  path       {path} (from {source})")?;
    }
    match &view.container {
        None => writeln!(out, "  no container or pod in the path")?,
        Some(container) => {
            self::container(out, container)?;
            for outer in container.and_outer().skip(1) {
                writeln!(out, "  inside")?;
                self::container(out, outer)?;
            }
        }
    }
    let Some(unit) = &view.unit else { return Ok(()) };
    let facts = [
        ("unit", unit.unit.clone()),
        ("slice", unit.slice.clone()),
        ("user", unit.user.map(|uid| uid.to_string())),
        ("user unit", unit.user_unit.clone()),
        ("machine", unit.machine.as_deref().map(|name| name_of(name).to_string())),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            writeln!(out, "  {name:10} {fact} (from the path)")?;
        }
    }
    Ok(())
}

fn container(out: &mut impl Write, container: &Container) -> io::Result<()> {
    let text = |text: &Option<String>| text.as_deref().map(|text| name_of(text).to_string());
    let labels = container.labels.as_ref().map(|labels| {
        let pairs = labels.iter().map(|(name, value)| format!("{}={}", name_of(name), name_of(value)));
        pairs.collect::<Vec<_>>().join(", ")
    });
    let facts = [
        ("container", Some(Fact::Id), text(&container.id)),
        ("of", None, text(&container.of_id)),
        ("pod UID", Some(Fact::PodUid), text(&container.pod_uid)),
        ("runtime", Some(Fact::Runtime), container.runtime.map(|runtime| runtime.to_string())),
        ("driver", None, container.driver.map(|driver| driver.to_string())),
        ("QoS class", None, container.qos.map(|qos| qos.to_string())),
        ("role", Some(Fact::Role), container.role.map(|role| role.to_string())),
        ("namespace", Some(Fact::Namespace), text(&container.namespace)),
        ("pod", Some(Fact::Pod), text(&container.pod)),
        ("name", Some(Fact::Name), text(&container.name)),
        ("image", Some(Fact::Image), text(&container.image)),
        ("labels", Some(Fact::Labels), labels),
    ];
    for (name, kind, fact) in facts {
        let Some(fact) = fact else { continue };
        let learned = kind.and_then(|kind| container.learned.as_ref()?.get(&kind));
        match learned {
            Some(source) => writeln!(out, "  {name:10} {fact} (from {})", source.in_words())?,
            None => writeln!(out, "  {name:10} {fact} (from the {})", container.source)?,
        }
    }
    Ok(())
}
