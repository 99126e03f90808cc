//! A zram device: a block device that keeps what is written to it in memory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use nix::unistd::{AccessFlags, access};

use super::module::Module;

const CONTROL: &str = "/sys/class/zram-control";

/// A device of our own, by its number.
#[derive(Debug)]
pub struct Zram(u32);

impl Zram {
    pub fn new(bytes: u64) -> Result<Self> {
        let module = Module::load("zram");
        module.needed_by(Self::add(bytes))
    }

    fn add(bytes: u64) -> Result<Self> {
        // Reading hot_add makes a device: only where it can be removed again, which it cannot if /sys is read-only.
        let remove = format!("{CONTROL}/hot_remove");
        access(Path::new(&remove), AccessFlags::W_OK).with_context(|| format!("cannot write to {remove}"))?;
        let number = fs::read_to_string(format!("{CONTROL}/hot_add"));
        let number = number.with_context(|| format!("cannot read {CONTROL}/hot_add"))?;
        let number = number.trim().parse().with_context(|| format!("hot_add says \"{}\"", number.trim()))?;
        let zram = Self(number);
        let size = zram.attribute("disksize");
        fs::write(&size, bytes.to_string()).with_context(|| format!("cannot write to {}", size.display()))?;
        // Absent in a container with a /dev of its own.
        ensure!(zram.device().exists(), "there is no {}", zram.device().display());
        Ok(zram)
    }

    /// The device with this name, which was made by us: it goes with this.
    pub fn adopt(name: &str) -> Option<Self> {
        name.strip_prefix("zram")?.parse().ok().map(Self)
    }

    pub fn device(&self) -> PathBuf {
        PathBuf::from(format!("/dev/zram{}", self.0))
    }

    fn attribute(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/sys/block/zram{}/{name}", self.0))
    }
}

impl Drop for Zram {
    fn drop(&mut self) {
        let reset = fs::write(self.attribute("reset"), "1");
        let gone = reset.and_then(|()| fs::write(format!("{CONTROL}/hot_remove"), self.0.to_string()));
        if let Err(error) = gone {
            log::error!("cannot remove the zram device {}: {error}", self.0);
        }
    }
}
