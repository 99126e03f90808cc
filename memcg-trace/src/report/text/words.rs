//! Phrases shared by lines and tables.

use std::fmt;

use crate::{
    attribution::Container,
    report::{escape::Name, view::MemcgView},
    units::{Count, UNKNOWN},
};

/// The memcg ID while the memcg owns it.
pub fn id(memcg: &MemcgView<'_>) -> String {
    match (memcg.id, memcg.id_held) {
        (Some(id), _) => id.to_string(),
        (None, Some(false)) => "released".to_owned(),
        (None, _) => UNKNOWN.to_owned(),
    }
}

/// `1 event`, `2 events`
pub fn many(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", Count(count))
}

/// An untrusted name, escaped like those from the kernel.
pub fn name_of(name: &str) -> Name<'_> {
    Name(name.as_bytes())
}

/// `pod prod/web-0 6a4ce4a0-…`, as far as known.
pub fn pod(container: &Container) -> Option<String> {
    let Container { pod, namespace, pod_uid, .. } = container;
    let namespace = namespace.as_deref().map(|namespace| format!("{}/", name_of(namespace)));
    let name = pod.as_deref().map(|pod| format!("{}{}", namespace.unwrap_or_default(), name_of(pod)));
    let uid = pod_uid.as_deref().map(|uid| name_of(uid).to_string());
    let parts = [name, uid].into_iter().flatten().collect::<Vec<_>>().join(" ");
    (!parts.is_empty()).then(|| format!("pod {parts}"))
}

/// The value, or a placeholder if unknown.
pub fn or(known: Option<impl fmt::Display>, word: &str) -> String {
    known.map_or_else(|| word.to_owned(), |known| known.to_string())
}

/// For a slow reader.
pub(super) fn lines_dropped(count: u64) -> String {
    format!(
        "{} dropped: standard output was read too slowly; counts and lists are complete",
        many(count, "line")
    )
}
