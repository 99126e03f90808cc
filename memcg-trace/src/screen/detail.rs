//! One memcg: its life, its container, and what pins it.

use std::sync::Arc;

use super::{
    ExplainedNow, Status, Zombie,
    ink::{Ink, InkedLine},
};
use crate::{
    attribution::Container,
    event::{Key, Task},
    report::{
        escape::Name,
        text,
        view::{MemcgView, PinnedByView, TaskView},
    },
    units::{Count, Time, TimeOfDay, UNKNOWN},
};

/// A memcg that was opened.
#[derive(Clone, Debug)]
pub struct OpenMemcg {
    zombie: Arc<Zombie>,
    /// It is not dying any more.
    gone: bool,
    /// Live: as of a look that was taken for it.
    explained: Option<Box<ExplainedNow>>,
    pub scroll: usize,
}

/// Columns before a value.
const LABEL: usize = 11;

impl OpenMemcg {
    pub fn new(zombie: Arc<Zombie>) -> Self {
        Self { zombie, gone: false, explained: None, scroll: 0 }
    }

    /// As it is now, or as it was last seen.
    pub fn follow(&mut self, status: &Status) {
        let now = status.zombie(&self.zombie.memcg.key);
        self.gone = now.is_none();
        if let Some(zombie) = now {
            self.zombie = zombie.clone();
        }
    }

    pub fn key(&self) -> Key {
        self.zombie.memcg.key
    }

    /// What pins it was looked for; of another one, it comes too late.
    pub fn explain(&mut self, explained: ExplainedNow) {
        if explained.key() == self.key() {
            self.explained = Some(Box::new(explained));
        }
    }

    /// The act with this number.
    pub fn act(&self, number: usize) -> Option<String> {
        let explained = self.explained.as_ref()?;
        explained.commands().get(number.checked_sub(1)?).map(|&command| command.to_owned())
    }

    /// Names every reference, and the least that frees each.
    pub fn command(&self) -> String {
        let key = self.zombie.memcg.key;
        match key.serial {
            0 => format!("memcg-trace explain {:#x}", key.css),
            serial => format!("memcg-trace explain {serial}"),
        }
    }

    /// All that is known of it, not cut.
    pub fn lines(&self, status: &Status) -> Vec<InkedLine> {
        let view = self.zombie.view(status);
        let path =
            view.path.map_or_else(|| "a memcg without a known path".to_owned(), |path| path.to_string());
        let mut lines = vec![(Ink::Heading, path), self.state(&view, status)];
        lines.extend(self.life(status));
        lines.extend(facts(&view));
        if let Some(container) = &self.zombie.container {
            lines.push((Ink::Plain, String::new()));
            lines.extend(of_container(container));
        }
        lines.push((Ink::Plain, String::new()));
        match &self.explained {
            Some(explained) => lines.extend(explained.lines()),
            None => lines.extend(pins(&view)),
        }
        lines.push((Ink::Plain, String::new()));
        lines.push((Ink::Plain, label("to do", &self.command())));
        lines.push((
            Ink::Dim,
            label(
                "",
                "names every reference with who has it, and the least that frees it (y copies the command)",
            ),
        ));
        lines
    }

    fn state(&self, view: &MemcgView<'_>, status: &Status) -> InkedLine {
        if self.gone {
            return (Ink::Good, label("state", "not dying any more: this is how it was last seen"));
        }
        let run = Time { ns: status.now_ns.saturating_sub(status.start.started_ns) };
        let since = view.age_ns.map_or_else(|| format!("more than {run}"), |ns| Time { ns }.to_string());
        let grace = Time { ns: status.start.grace_ns };
        let ink = if view.leaked { Ink::Bad } else { Ink::Warn };
        let leaked = if view.leaked { "leaked" } else { "not leaked so far" };
        (ink, label("state", &format!("dying for {since}; {leaked} (the grace time is {grace})")))
    }

    /// Its steps, as far as they were seen.
    fn life(&self, status: &Status) -> Vec<InkedLine> {
        let memcg = &self.zombie.memcg;
        let grace_ns = status.start.grace_ns;
        let leaked_ns = memcg.dying_since_ns().filter(|_| memcg.leaked).map(|ns| ns.saturating_add(grace_ns));
        let steps = [
            ("created", memcg.online_ns, memcg.creator.as_ref()),
            ("removed", memcg.removed_ns, memcg.remover.as_ref()),
            ("offline", memcg.offline_ns, None),
            ("css freed", memcg.css_freed_ns, None),
            ("leaked", leaked_ns, None),
        ];
        let mut before = None;
        let mut lines = Vec::new();
        for (step, t_ns, task) in steps {
            let Some(t_ns) = t_ns else { continue };
            let time = TimeOfDay { ns: status.clock().real_ns(t_ns) };
            let after = before.map(|before| format!("  {} later", Time { ns: t_ns.saturating_sub(before) }));
            let by = task.map(|task| format!("  by {}", by(task)));
            let text = format!("{time}{}{}", after.unwrap_or_default(), by.unwrap_or_default());
            lines.push((Ink::Plain, label(step, &text)));
            before = Some(t_ns);
        }
        if memcg.before_start {
            let what = if memcg.died_before_start() { "it was dying" } else { "it existed" };
            lines.insert(0, (Ink::Dim, label("created", &format!("unknown: {what} before the start"))));
        }
        lines
    }
}

fn by(task: &Task) -> String {
    let TaskView { tgid, comm, .. } = TaskView::new(task);
    format!("{comm} (pid {tgid})")
}

fn facts(view: &MemcgView<'_>) -> Vec<InkedLine> {
    let id = match (view.id, view.id_refs) {
        (Some(id), Some(refs)) => format!("{id}, held by {}", text::many(refs.into(), "swapped-out page")),
        (Some(id), None) => format!("{id}, held"),
        (None, _) => text::id(view),
    };
    let number = |number: Option<u64>| number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string());
    let css =
        format!("{:#x}, serial {}, cgroup id {}", view.css, number(view.serial), number(view.cgroup_id));
    let mut lines = vec![
        (Ink::Plain, label("memcg ID", &id)),
        (Ink::Plain, label("css", &css)),
        (Ink::Plain, label("charged", &text::size_and_held(view.charged_bytes, view.held_bytes_max))),
    ];
    if let Some(caches) = &view.slab_caches {
        let names: Vec<String> = caches.iter().map(ToString::to_string).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let hold = if view.held_by_caches { "; they pin it" } else { "" };
        lines.push((Ink::Plain, label("slab caches", &format!("{names}{hold}"))));
    }
    lines
}

fn of_container(container: &Container) -> Vec<InkedLine> {
    let text = |text: &String| Name(text.as_bytes()).to_string();
    let namespace = container.namespace.as_ref().map(|namespace| text(namespace) + "/").unwrap_or_default();
    let pod = container.pod.as_ref().map(|pod| namespace + &text(pod));
    let facts = [
        ("container", container.title().map(|title| Name(title.as_bytes()).to_string())),
        ("id", container.id.as_ref().map(text)),
        ("beside", container.of_id.as_ref().map(text)),
        ("image", container.image.as_ref().map(text)),
        ("pod", pod),
        ("pod uid", container.pod_uid.as_ref().map(text)),
        ("runtime", container.runtime.map(|runtime| runtime.to_string())),
    ];
    let known = facts.into_iter().filter_map(|(name, fact)| Some((name, fact?)));
    known.map(|(name, fact)| (Ink::Plain, label(name, &fact))).collect()
}

/// By kind, as of the last look.
fn pins(view: &MemcgView<'_>) -> Vec<InkedLine> {
    let Some(pinned) = &view.pinned else {
        let refs = view.css_refs.map(|refs| format!(" of its {}", text::many(refs, "reference")));
        let text =
            format!("what pins it is not known: nobody looked at the holders{}", refs.unwrap_or_default());
        return vec![(Ink::Warn, text)];
    };
    let (refs, explained) = (Count(pinned.refs), Count(pinned.refs_explained));
    let heading = match pinned.refs == pinned.refs_explained {
        true => format!("Pinned by {}, all explained:", text::many(pinned.refs, "reference")),
        false => format!("Pinned by {refs} references, of which {explained} are explained:"),
    };
    let mut lines = vec![(Ink::Heading, heading)];
    for by in &pinned.by {
        let PinnedByView { pin, refs, things, what, holder, holders, .. } = by;
        let what = what.map(|what| format!(" {what}")).unwrap_or_default();
        let more = if *things > 1 { format!(" and {} more", Count(things - 1)) } else { String::new() };
        lines.push((Ink::Plain, format!("{:>9}  {}{what}{more}", Count(*refs), pin.name())));
        if let Some(holder) = holder {
            let more = if *holders > 1 { format!(" and {} more", Count(holders - 1)) } else { String::new() };
            lines.push((Ink::Dim, format!("{:>9}  held by {} (pid {}){more}", "", holder.comm, holder.pid)));
        }
    }
    lines
}

fn label(name: &str, value: &str) -> String {
    format!("{name:<LABEL$}  {value}")
}
