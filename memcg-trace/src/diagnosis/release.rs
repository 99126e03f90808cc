//! Releases of the kernel (`uname -r`) and ranges of them.
//!
//! Mainline numbers tell what a kernel contains. Those of Red Hat do not: el7 to el10 each have their own series,
//! distinguished by the build after the dash. Debian and Ubuntu may leave the number of the stable release at 0 and
//! count builds instead: then facts that depend on it are unknown.

use serde::Deserialize;

/// A parsed release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    family: KernelFamily,
    version: [u32; 3],
    /// Numbers right after the dash: `1062.12.1` of `3.10.0-1062.12.1.el7.x86_64`.
    build: Vec<u32>,
    /// Whether the third number is that of the stable release.
    patch_known: bool,
}

/// The vendor of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KernelFamily {
    Mainline,
    El7,
    El8,
    El9,
    El10,
}

/// Red Hat's series, and the tags of their builds.
const RED_HAT: &[(KernelFamily, [u32; 3], &str)] = &[
    (KernelFamily::El7, [3, 10, 0], "el7"),
    (KernelFamily::El8, [4, 18, 0], "el8"),
    (KernelFamily::El9, [5, 14, 0], "el9"),
    (KernelFamily::El10, [6, 12, 0], "el10"),
];

/// A half-open range of releases.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    family: KernelFamily,
    from: Option<String>,
    before: Option<String>,
    /// Stable releases known to have the fix; earlier ones of their series may have it, too.
    #[serde(default)]
    stable: Vec<String>,
    /// Stable releases got the fix; it is unknown which ones.
    #[serde(default)]
    backported: bool,
}

/// Whether a release is in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    No,
    /// Cannot be determined from its number.
    Maybe,
    Yes,
}

impl Release {
    /// `None`: not a release of Linux.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |c: char| c.is_ascii_digit() || c == '.';
        let numbers = text.split(|c| !digits(c)).next().unwrap_or_default();
        let (version, rest) = (self::numbers(numbers), &text[numbers.len()..]);
        let version = match version[..] {
            [major, minor] => [major, minor, 0],
            [major, minor, patch, ..] => [major, minor, patch],
            _ => return None,
        };
        let tags = || rest.split(['.', '-', '+', '~']);
        let family = RED_HAT.iter().find(|(_, series, name)| {
            // `el7`, `el7_9`; but not Oracle's `el7uek`
            let named =
                |tag: &str| tag.strip_prefix(name).is_some_and(|end| end.is_empty() || end.starts_with('_'));
            *series == version && tags().any(named)
        });
        let behind = rest.strip_prefix('-').unwrap_or_default();
        let build = self::numbers(behind.split(|c| !digits(c)).next().unwrap_or_default());
        let patch_known = version[2] > 0 || build.is_empty();
        let family = family.map_or(KernelFamily::Mainline, |(family, ..)| *family);
        Some(Self { family, version, build, patch_known })
    }

    fn before(&self, bound: &Self) -> Match {
        match self.family {
            KernelFamily::Mainline if self.version[..2] != bound.version[..2] => {
                (self.version < bound.version).into()
            }
            KernelFamily::Mainline if bound.version[2] == 0 => Match::No,
            KernelFamily::Mainline if !self.patch_known => Match::Maybe,
            // A bound of mainline has no build.
            _ => ((self.version, &self.build) < (bound.version, &bound.build)).into(),
        }
    }
}

/// `1062.12.1`
fn numbers(text: &str) -> Vec<u32> {
    text.split('.').map_while(|number| number.parse().ok()).collect()
}

impl Range {
    pub fn has(&self, release: &Release) -> Match {
        if release.family != self.family {
            return Match::No;
        }
        let bound = |text: &Option<String>| text.as_deref().and_then(Release::parse);
        let from = bound(&self.from).map_or(Match::Yes, |from| release.before(&from).not());
        let before = bound(&self.before).map_or(Match::Yes, |before| release.before(&before));
        let fixed = self.stable.iter().filter_map(|text| Release::parse(text));
        let stable = fixed.filter(|fixed| fixed.version[..2] == release.version[..2]).map(|fixed| {
            // Earlier ones may have it, too.
            release.before(&fixed).min(Match::Maybe)
        });
        let stable = stable.min().unwrap_or(Match::Yes);
        let backported = if self.backported { Match::Maybe } else { Match::Yes };
        [from, before, stable, backported].into_iter().min().unwrap_or(Match::No)
    }
}

impl Match {
    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }
}

impl From<bool> for Match {
    fn from(is: bool) -> Self {
        if is { Self::Yes } else { Self::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(range: &str, release: &str) -> Match {
        let range: Range = serde_json::from_str(range).expect(range);
        Release::parse(release).map_or(Match::No, |release| range.has(&release))
    }

    #[test]
    fn families() {
        let table = [
            ("3.10.0-1062.12.1.el7.x86_64", KernelFamily::El7),
            ("3.10.0-1160.119.1.el7_9.x86_64", KernelFamily::El7),
            ("4.18.0-305.el8", KernelFamily::El8),
            ("5.14.0-362.8.1.el9_3.x86_64", KernelFamily::El9),
            ("6.12.0-55.el10.x86_64", KernelFamily::El10),
            ("4.14.35-1902.300.11.el7uek.x86_64", KernelFamily::Mainline),
            ("4.4.230-1.el7.elrepo.x86_64", KernelFamily::Mainline),
            ("3.10.107-1-tlinux2_kvm_guest-0049", KernelFamily::Mainline),
            ("5.15.0-91-generic", KernelFamily::Mainline),
            ("6.1.0-28-cloud-amd64", KernelFamily::Mainline),
        ];
        for (release, family) in table {
            assert_eq!(Release::parse(release).expect(release).family, family, "{release}");
        }
    }

    #[test]
    fn numbers_of_every_style() {
        let table: &[(&str, [u32; 3], &[u32], bool)] = &[
            ("3.10.0-1062.12.1.el7.x86_64", [3, 10, 0], &[1062, 12, 1], false),
            ("5.15.0-91-generic", [5, 15, 0], &[91], false),
            ("6.1.0-28-cloud-amd64", [6, 1, 0], &[28], false),
            ("6.12.117+deb13-cloud-amd64", [6, 12, 117], &[], true),
            ("4.19.91-26.an7.x86_64", [4, 19, 91], &[26], true),
            ("6.18.5", [6, 18, 5], &[], true),
            ("7.1.0-rc3+", [7, 1, 0], &[], true),
            ("6.18", [6, 18, 0], &[], true),
            ("5.15.90.1-microsoft-standard-WSL2", [5, 15, 90], &[], true),
        ];
        for (text, version, build, patch_known) in table {
            let release = Release::parse(text).expect(text);
            assert_eq!(
                (release.version, &*release.build, release.patch_known),
                (*version, *build, *patch_known)
            );
        }
        for text in ["", "linux", "6", "-1"] {
            assert_eq!(Release::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn ranges() {
        use Match::{Maybe, No, Yes};
        const EL7: &str = r#"{"family": "el7", "before": "3.10.0-1062.12.1"}"#;
        const MAINLINE: &str =
            r#"{"family": "mainline", "from": "4.7", "before": "5.7", "stable": ["5.4.286"]}"#;
        const PATCH: &str = r#"{"family": "mainline", "before": "6.1.50"}"#;
        const BACKPORTED: &str = r#"{"family": "mainline", "before": "4.7", "backported": true}"#;
        let table = [
            (EL7, "3.10.0-957.el7.x86_64", Yes),
            (EL7, "3.10.0-1062.el7.x86_64", Yes),
            (EL7, "3.10.0-1062.9.1.el7.x86_64", Yes),
            (EL7, "3.10.0-1062.12.1.el7.x86_64", No),
            (EL7, "3.10.0-1160.el7.x86_64", No),
            (EL7, "4.18.0-80.el8.x86_64", No),
            (EL7, "3.10.107-1-tlinux2", No),
            (MAINLINE, "4.6.7", No),
            (MAINLINE, "4.7.0", Yes),
            (MAINLINE, "4.19.0-27-amd64", Yes),
            (MAINLINE, "5.6.19", Yes),
            (MAINLINE, "5.7.1", No),
            (MAINLINE, "5.4.285", Maybe),
            (MAINLINE, "5.4.286", No),
            (MAINLINE, "5.4.0-150-generic", Maybe),
            (MAINLINE, "4.18.0-305.el8.x86_64", No),
            (PATCH, "6.1.49", Yes),
            (PATCH, "6.1.50", No),
            (PATCH, "6.1.0-28-cloud-amd64", Maybe),
            (PATCH, "5.15.0-91-generic", Yes),
            (PATCH, "6.12.1", No),
            (BACKPORTED, "4.4.0-36-generic", Maybe),
            (BACKPORTED, "4.7.1", No),
        ];
        for (range, release, expected) in table {
            assert_eq!(has(range, release), expected, "{release} in {range}");
        }
    }
}
