//! docs/JSON.md against the JSON that the golden tests hold.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::markdown::Page;
use crate::workspace::Workspace;

const PAGE: &str = "docs/JSON.md";
/// Output of memcg-trace, in the form that its tests compare.
const GOLDEN: [&str; 2] = ["memcg-trace/tests/golden", "memcg-trace/tests/recordings"];
/// Keys below these are data: labels of containers, controllers, ways to pin.
const MAPS: [&str; 3] = ["labels", "dying_by_controller", "pins"];

/// The keys and types of objects that the page does not name in a code span.
pub fn undocumented(workspace: &Workspace) -> Result<Vec<String>> {
    let page = workspace.root.join(PAGE);
    let page = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let page = Page::parse(&page);
    let documented: BTreeSet<&str> = page
        .spans
        .iter()
        .flat_map(|(_, span)| span.split(|c: char| !(c.is_alphanumeric() || c == '_')))
        .collect();
    let mut names = BTreeSet::new();
    for directory in GOLDEN.map(|directory| workspace.root.join(directory)) {
        for entry in
            fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?
        {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                let text =
                    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                for line in text.lines() {
                    let value =
                        serde_json::from_str(line).with_context(|| format!("{}: no JSON", path.display()))?;
                    collect(&value, &mut names);
                }
            }
        }
    }
    let missing = names.iter().filter(|name| !documented.contains(name.as_str()));
    Ok(missing.map(|name| format!("{PAGE}: `{name}` is missing")).collect())
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                names.insert(key.clone());
                if let ("type" | "event", Value::String(name)) = (key.as_str(), value) {
                    names.insert(name.clone());
                }
                if !MAPS.contains(&key.as_str()) {
                    collect(value, names);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_types_count_and_labels_do_not() {
        let value = serde_json::json!({
            "type": "event", "event": "online", "memcg": { "id": 1 }, "list": [{ "hook": 2 }], "labels": { "app": "x" }
        });
        let mut names = BTreeSet::new();
        collect(&value, &mut names);
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!(names, ["event", "hook", "id", "labels", "list", "memcg", "online", "type"]);
    }
}
