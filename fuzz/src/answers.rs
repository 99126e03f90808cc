//! What the sockets of container runtimes answer with: protobuf of CRI and containerd, HTTP and JSON of docker; and what lies in
//! their files, among them those of a tenant: a bundle's config.json, a list of containers/storage.

use memcg_trace::source::names::{answers, bundle::BundleConfig, storage};

const ID: &str = "17db96a24ae1e9f0c2b3a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819";

/// The first byte says who answers.
pub fn run(input: &[u8]) -> bool {
    let Some((kind, answer)) = input.split_first() else { return false };
    let facts = match kind {
        b'c' => answers::cri(answer, ID),
        b'd' => answers::docker(answer, ID),
        b'b' => Ok(BundleConfig::parse(answer).map(|config| config.facts(ID, None))),
        b's' => Ok(storage::listed(answer, ID)),
        _ => answers::containerd(answer, ID),
    };
    let Ok(Some(facts)) = facts else { return false };
    assert_eq!(facts.id.as_deref(), Some(ID));
    assert!(format!("{facts:?}").len() < 4096 + 16 * answer.len(), "labels are kept without bounds");
    true
}
