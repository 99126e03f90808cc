//! `doctor --npd`: one line for node-problem-detector, which cuts it after 80 bytes and shows it as a condition of the node.

use std::io::{self, Write};

use crate::report::view::{DoctorView, NodeVerdict, NodeView};

/// `max_output_length` of our plugin's configuration.
const BYTES_MAX: usize = 80;

/// Writes the line.
pub fn npd(out: &mut impl Write, view: &DoctorView<'_>) -> io::Result<()> {
    let mut line = match view.verdict {
        NodeVerdict::Healthy => "healthy".to_owned(),
        NodeVerdict::Sick => "sick".to_owned(),
        NodeVerdict::Inconclusive => "cannot tell".to_owned(),
        NodeVerdict::Unsupported => "no memory controller".to_owned(),
    };
    for fact in view.node.iter().flat_map(facts) {
        if line.len() + fact.len() <= BYTES_MAX {
            line.push_str(&fact);
        }
    }
    writeln!(out, "{line}")
}

/// What is known, most important first.
fn facts(node: &NodeView<'_>) -> Vec<String> {
    let staying = node.staying.map(|staying| format!(": {staying} memcgs stay"));
    let used = node.ids_used.map(|used| format!(", {used} of {} IDs used", node.ids_limit));
    let largest = node.pinned.as_ref().and_then(|pins| pins.first());
    let pin = largest.map(|total| format!(", most by {}", total.pin.name()));
    [staying, used, pin].into_iter().flatten().collect()
}
