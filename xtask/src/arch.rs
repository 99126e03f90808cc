//! The architectures that memcg-trace is built for, and everything in which they differ for us.

/// One architecture, by the names that others have for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Arch {
    /// Rust's (`target_arch`), rpm's, and that of `uname -m`.
    pub name: &'static str,
    /// Debian's, and that of container images.
    pub debian: &'static str,
    /// Target of the loader. The glibc target is available wherever cargo is; musl's std is not.
    pub triple: &'static str,
    /// GNU's triplet, which names directories of libraries and cross compilers.
    pub gnu: &'static str,
    /// The dynamic loader, whose path is in every program that needs it.
    pub loader: &'static str,
    /// Debian's packages of the C compiler that links for it on another architecture.
    pub cross_packages: [&'static str; 2],
    pub qemu: Qemu,
}

/// How QEMU emulates a machine of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qemu {
    pub program: &'static str,
    /// Debian's package of the program.
    pub package: &'static str,
    pub machine: &'static str,
    pub cpu: &'static str,
    /// The kernel's name for the first serial port.
    pub console: &'static str,
    /// Further serial ports: the option that adds one, its value before the name of a chardev, and the kernel's names for them.
    pub port: (&'static str, &'static str),
    pub ports: [&'static str; 3],
}

pub static X86_64: Arch = Arch {
    name: "x86_64",
    debian: "amd64",
    triple: "x86_64-unknown-linux-gnu",
    gnu: "x86_64-linux-gnu",
    loader: "/lib64/ld-linux-x86-64.so.2",
    cross_packages: ["gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"],
    qemu: Qemu {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
        machine: "pc",
        cpu: "max",
        console: "ttyS0",
        port: ("-serial", "chardev:"),
        ports: ["ttyS1", "ttyS2", "ttyS3"],
    },
};

pub static AARCH64: Arch = Arch {
    name: "aarch64",
    debian: "arm64",
    triple: "aarch64-unknown-linux-gnu",
    gnu: "aarch64-linux-gnu",
    loader: "/lib/ld-linux-aarch64.so.1",
    cross_packages: ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
    qemu: Qemu {
        program: "qemu-system-aarch64",
        package: "qemu-system-arm",
        // The machine without a model: it has one serial port, and a PCI bus for more.
        machine: "virt",
        // Signing pointers as the architecture has it takes most of the time of an emulated CPU.
        cpu: "max,pauth-impdef=on",
        console: "ttyAMA0",
        port: ("-device", "pci-serial,chardev="),
        ports: ["ttyS0", "ttyS1", "ttyS2"],
    },
};

pub static ALL: [&Arch; 2] = [&X86_64, &AARCH64];

impl Arch {
    /// That of xtask itself, so of this machine.
    pub fn host() -> &'static Self {
        if cfg!(target_arch = "aarch64") { &AARCH64 } else { &X86_64 }
    }

    pub fn is_host(&self) -> bool {
        self == Self::host()
    }

    /// The program that links for it on another architecture.
    pub fn cross_linker(&self) -> String {
        format!("{}-gcc", self.gnu)
    }

    /// The architecture with this name, by anybody's, as a value of an option.
    pub fn parse(name: &str) -> Result<&'static Self, String> {
        let named = |arch: &&&Self| [arch.name, arch.debian, arch.triple].contains(&name);
        let known = || ALL.iter().map(|arch| arch.triple).collect::<Vec<_>>().join(" and ");
        ALL.iter().find(named).copied().ok_or_else(|| format!("memcg-trace is built for {}", known()))
    }

    /// A setting of cargo for this target: `CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS`.
    pub fn cargo_variable(&self, setting: &str) -> String {
        format!("CARGO_TARGET_{}_{setting}", self.triple.replace('-', "_").to_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_understood() {
        for name in ["arm64", "aarch64", "aarch64-unknown-linux-gnu"] {
            assert_eq!(Arch::parse(name), Ok(&AARCH64));
        }
        assert_eq!(Arch::parse("amd64"), Ok(&X86_64));
        assert!(Arch::parse("riscv64").is_err_and(|error| error.contains("aarch64-unknown-linux-gnu")));
        assert_eq!(AARCH64.cargo_variable("LINKER"), "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER");
    }
}
