//! Docker's facts about a container, from its file or its API.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::{
    kubernetes::{take_labels, text},
    root::Root,
};
use crate::attribution::{FactSource, Facts, Role, Runtime};

/// Directories where docker and its snap keep containers (moby daemon/container/container.go, `configFileName`).
const DATA: &[&str] = &["/var/lib/docker", "/var/snap/docker/common/var-lib-docker"];

/// The fields that config.v2.json and `GET /containers/ID/json` have in common.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    name: String,
    config: Settings,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Settings {
    image: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// Reads the file of a container, which exists from `docker create` to `docker rm`.
pub fn config(root: &Root, id: &str) -> Option<Facts> {
    DATA.iter().find_map(|data| {
        let file = Path::new(data).join("containers").join(id).join("config.v2.json");
        inspected(&root.read(&file).ok()?, id, FactSource::DockerConfig)
    })
}

/// The facts from either.
pub fn inspected(json: &[u8], id: &str, source: FactSource) -> Option<Facts> {
    let Inspected { name, config } = serde_json::from_slice(json).ok()?;
    let mut facts = Facts {
        id: Some(id.to_owned()),
        runtime: Some(Runtime::Docker),
        name: text(name.trim_start_matches('/')),
        image: text(&config.image),
        role: Some(Role::Workload),
        ..Facts::of(source)
    };
    take_labels(&mut facts, &config.labels.unwrap_or_default());
    Some(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_kubernetes() {
        let plain = br#"{"Name":"/web","State":{},"Config":{"Image":"nginx:1","Labels":null}}"#;
        let facts = inspected(plain, "id", FactSource::DockerConfig).expect("facts");
        assert_eq!((facts.name.as_deref(), facts.image.as_deref()), (Some("web"), Some("nginx:1")));
        let pod = br#"{"Name":"/k8s_web_web-0_prod_u_0","Config":{"Image":"nginx:1","Labels":{
            "io.kubernetes.container.name":"web","io.kubernetes.pod.name":"web-0",
            "io.kubernetes.pod.namespace":"prod","io.kubernetes.docker.type":"podsandbox"}}}"#;
        let facts = inspected(pod, "id", FactSource::DockerConfig).expect("facts");
        assert_eq!((facts.name.as_deref(), facts.pod.as_deref()), (Some("web"), Some("web-0")));
        assert_eq!(facts.role, Some(Role::Sandbox));
        assert_eq!(inspected(b"{}", "id", FactSource::DockerApi), None);
    }
}
