//! Owners of memcgs, for counting.

use serde::Serialize;

use super::{Container, Runtime, Unit, Workload, unit_family, unit_of_path};

/// The level of owners: `--by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ByOwner {
    /// Deployment, CronJob, StatefulSet and so on by the pod's name; else container name, image, or unit
    Workload,
    /// Kubernetes namespace
    Namespace,
    Image,
    /// Container runtime
    Runtime,
    /// Systemd unit, without numbers and ids
    Unit,
}

/// The owner on that level; `None`: unknown. Serializes as a field of the JSON output, named after the level.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    Workload(Workload),
    Namespace(Option<String>),
    Image(Option<String>),
    Runtime(Option<Runtime>),
    Unit(Option<String>),
}

impl ByOwner {
    /// The owner of a memcg.
    pub fn owner(self, container: Option<&Container>, path: Option<&[u8]>) -> Owner {
        let unit = || path.and_then(unit_of_path);
        match self {
            Self::Workload => Owner::Workload(Workload::of(container, unit().as_ref())),
            Self::Namespace => Owner::Namespace(container.and_then(|container| container.namespace.clone())),
            Self::Image => Owner::Image(container.and_then(|container| container.image.clone())),
            Self::Runtime => Owner::Runtime(container.and_then(|container| container.runtime)),
            Self::Unit => {
                let name = |unit: Unit| unit.user_unit.or(unit.unit);
                Owner::Unit(unit().and_then(name).map(|name| unit_family(&name)))
            }
        }
    }
}
