//! The bill of materials: CycloneDX 1.5 as JSON (cyclonedx.org/docs/1.5/json).

use anyhow::Result;
use serde_json::{Value, json};

use super::Release;
use super::crates::Crate;
use crate::arch::Arch;

/// The document for one architecture, which names every crate that is linked, its licence, the checksum of its package and
/// what it links.
pub fn document(release: &Release, arch: &Arch, crates: &[Crate]) -> Result<Vec<u8>> {
    let own = format!("memcg-trace@{}", release.version);
    let license = |expression: &str| json!([{"expression": expression}]);
    let component = |found: &Crate| {
        let mut component = json!({
            "type": "library",
            "bom-ref": found.id(),
            "name": found.name,
            "version": found.version,
            "purl": format!("pkg:cargo/{}", found.id()),
            "licenses": license(&found.license),
            "hashes": [{"alg": "SHA-256", "content": found.sha256}],
        });
        if let Some(address) = &found.repository {
            component["externalReferences"] = json!([{"type": "vcs", "url": address}]);
        }
        component
    };
    let depends = |id: String, on: Vec<String>| json!({"ref": id, "dependsOn": on});
    let linked = crates.iter().map(Crate::id).collect();
    let dependencies: Vec<Value> = [depends(own.clone(), linked)]
        .into_iter()
        .chain(crates.iter().map(|found| depends(found.id(), found.dependencies.clone())))
        .collect();
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": release.rfc3339()?,
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "memcg-trace",
                "version": release.version,
                "licenses": license("MIT OR Apache-2.0"),
                "properties": [
                    {"name": "memcg-trace:commit", "value": release.commit},
                    {"name": "memcg-trace:target", "value": arch.triple},
                ],
            },
        },
        "components": crates.iter().map(component).collect::<Vec<_>>(),
        "dependencies": dependencies,
    });
    Ok(serde_json::to_vec_pretty(&document)?)
}
