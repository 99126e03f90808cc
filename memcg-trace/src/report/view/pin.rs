//! One thing that pins a memcg.

use serde::Serialize;

use crate::{
    attribution::{Container, Unit},
    cause::{Act, ActKind, Behind, ExplainedPart, File, Folios, Pin, Thing},
    report::escape::Name,
};

use super::{FoliosView, HolderView, ListedMemcg, MemcgView, SocketView, SwapView};

/// A part with the memcg that it is of; a line of the JSON output.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PinLine<'a> {
    pub memcg: &'a MemcgView<'a>,
    pub container: &'a Option<Container>,
    pub unit: &'a Option<Unit>,
    #[serde(flatten)]
    pub part: &'a PartView<'a>,
}

impl<'a> PinLine<'a> {
    pub fn new(listed: &'a ListedMemcg<'a>, part: &'a PartView<'a>) -> Self {
        Self { memcg: &listed.memcg, container: &listed.container, unit: &listed.unit, part }
    }
}

/// What lets go of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ActView<'a> {
    /// A command that can be pasted into a shell, or a sentence.
    pub act: Option<&'a str>,
    #[serde(rename = "act_kind")]
    pub kind: ActKind,
    #[serde(rename = "act_is_command")]
    pub is_command: bool,
    /// What else helps.
    #[serde(rename = "act_advice")]
    pub advice: Option<&'a str>,
    /// What is lost by it.
    #[serde(rename = "act_cost")]
    pub cost: &'static str,
}

impl<'a> ActView<'a> {
    fn new(act: &'a Act) -> Self {
        Self {
            act: act.command.as_deref().or(act.advice.as_deref()),
            kind: act.kind,
            is_command: act.command.is_some(),
            advice: act.command.as_ref().and(act.advice.as_deref()),
            cost: act.cost,
        }
    }

    /// Somebody loses something by it.
    pub fn costs(&self) -> Option<&'static str> {
        (self.is_command && self.kind.loses()).then_some(self.cost)
    }
}

/// References with one thing behind them. What does not apply to a thing is null or absent.
#[derive(Clone, Debug, Serialize)]
pub struct PartView<'a> {
    pub pin: Pin,
    pub refs: u64,
    /// Path, address or name; null: it has none.
    pub what: Option<Name<'a>>,
    /// The name is not UTF-8: in the string, `\\` is a backslash and `\xNN` a byte.
    pub what_escaped: bool,
    /// `major:minor`
    pub device: Option<String>,
    pub inode: Option<u64>,
    pub deleted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<Name<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folios: Option<FoliosView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<SwapView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<SocketView<'a>>,
    /// Of writeback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dirty_inodes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attached_inodes: Option<u64>,
    /// Of charge stocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<&'a [u32]>,
    /// Of a child.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child_serial: Option<u64>,
    pub holders: Vec<HolderView<'a>>,
    #[serde(flatten)]
    pub act: ActView<'a>,
    /// References that it frees.
    pub act_frees: u64,
    /// For text, which says it in words.
    #[serde(skip)]
    pub(in crate::report) part: &'a ExplainedPart,
}

impl<'a> PartView<'a> {
    pub fn new(part: &'a ExplainedPart, page_bytes: u64) -> Self {
        let ExplainedPart { pin, refs, behind, holders, act, .. } = part;
        let what = part.what.as_deref().map(Name);
        let file = file_of(behind);
        let thing = match behind {
            Behind::Thing(thing) => Some(thing),
            _ => None,
        };
        Self {
            pin: *pin,
            refs: *refs,
            what_escaped: what.as_ref().is_some_and(Name::is_escaped_in_json),
            what,
            device: file.map(|file| device(file.device)).or_else(|| match thing {
                Some(Thing::Writeback { device, .. }) => Some(String::from_utf8_lossy(device).into_owned()),
                _ => None,
            }),
            inode: file.map(|file| file.inode).or(match behind {
                Behind::NetNamespace(net) => Some(net.inode),
                _ => None,
            }),
            deleted: file.and_then(File::deleted),
            filesystem: file.map(|file| Name(&file.filesystem)),
            folios: folios_of(behind).map(|folios| FoliosView::new(folios, file, page_bytes)),
            swap: thing.and_then(SwapView::new),
            socket: match thing {
                Some(Thing::Socket(socket)) => Some(SocketView::new(socket)),
                _ => None,
            },
            dirty_inodes: match thing {
                Some(Thing::Writeback { dirty_inodes, .. }) => Some(*dirty_inodes),
                _ => None,
            },
            attached_inodes: match thing {
                Some(Thing::Writeback { attached_inodes, .. }) => *attached_inodes,
                _ => None,
            },
            cpus: match behind {
                Behind::ChargeStocks { cpus, .. } => Some(cpus),
                _ => None,
            },
            child_serial: match thing {
                Some(Thing::Child { key, .. }) => Some(key.serial),
                _ => None,
            },
            holders: holders.iter().map(HolderView::new).collect(),
            act: ActView::new(act),
            act_frees: act.frees,
            part,
        }
    }
}

/// Of whatever memory it is.
pub(in crate::report) fn folios_of(behind: &Behind) -> Option<&Folios> {
    match behind {
        Behind::Thing(
            Thing::File { folios, .. }
            | Thing::Anon { folios }
            | Thing::Detached { folios }
            | Thing::KernelPages { folios, .. }
            | Thing::KernelMemory { folios },
        ) => Some(folios),
        _ => None,
    }
}

pub(in crate::report) fn file_of(behind: &Behind) -> Option<&File> {
    match behind {
        Behind::Thing(Thing::File { file, .. }) => Some(file),
        _ => None,
    }
}

/// `8:1`
pub(in crate::report) fn device((major, minor): (u32, u32)) -> String {
    format!("{major}:{minor}")
}
