//! Modules of the kernel that scenarios need.

use std::process::Command;

use anyhow::{Context as _, Result};

/// A module that was asked for. It may as well be built in, which modprobe need not know: what matters is whether what
/// needs it works.
#[derive(Debug)]
pub struct Module {
    name: &'static str,
    /// What modprobe said.
    failure: Option<String>,
}

impl Module {
    /// Loads it, unless it is there.
    pub fn load(name: &'static str) -> Self {
        let failure = match Command::new("modprobe").arg(name).output() {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Some(format!("cannot run modprobe: {error}")),
        };
        log::debug!("modprobe {name}: {failure:?}");
        Self { name, failure }
    }

    /// Adds to an error that the module could not be loaded, if so.
    pub fn needed_by<T>(&self, result: Result<T>) -> Result<T> {
        match &self.failure {
            Some(why) => result.with_context(|| format!("no module {} ({why})", self.name)),
            None => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_missing_module_is_named() {
        let module = Module::load("memcg_trace_does_not_exist");
        let failed = module.needed_by::<()>((|| bail!("cannot open /dev/such"))());
        let text = format!("{:#}", failed.expect_err("it failed"));
        assert!(text.starts_with("no module memcg_trace_does_not_exist ("), "{text}");
        assert!(text.ends_with("): cannot open /dev/such"), "{text}");
        assert_eq!(module.needed_by(Ok(7)).expect("it works without: built in"), 7);
    }
}
