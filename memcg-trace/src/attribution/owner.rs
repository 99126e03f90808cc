//! Whose memcgs are, for whatever counts them.

use serde::Serialize;

use super::{Container, Runtime, Unit, Workload, unit_family, unit_of_path};

/// One level of looking at it: `--by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ByOwner {
    /// Deployment, CronJob, StatefulSet and so on by the pod's name; else container name, image, or unit
    Workload,
    /// Of Kubernetes
    Namespace,
    Image,
    /// Who runs the container
    Runtime,
    /// Of systemd, those that are numbered together
    Unit,
}

/// Who it is on that level; `None`: not known. Serializes as a field of the JSON output, named after the level.
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
