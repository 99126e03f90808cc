//! Reads recordings. The input is untrusted: memory use follows the bytes present, never a claimed length, and these are
//! bounded by the size of the file ([`Unpacked`]).

use std::io::{self, BufReader, Read};

use foldhash::{HashMap, HashMapExt as _};
use memcg_trace_common::{ABI, Charges, EventHeader, Hook, NAME_MAX};
use serde::de::DeserializeOwned;
use thiserror::Error;
use zerocopy::{FromZeros as _, IntoBytes as _};

use super::{
    CACHES, CHECKPOINT, END, EVENT, Entry, FORMAT, FORMAT_OLDEST, LOST, MAGIC, MISSED, MISSING, NAMES, PINS,
    TIME, WALK,
    budget::{Excess, Unpacked},
};
use crate::{
    attribution::NamesMissing,
    event::{DecodeError, Event, Key},
    record::{CacheCopies, Checkpoint, Clock, End, Learned, Memcg, PinsRead, Record, Snapshot, Start},
};

/// Bytes of the longest text: names or references of one memcg, as JSON.
const LENGTH_MAX: u32 = 4 << 20;

/// The reason why a file cannot be replayed at all.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("not a memcg-trace recording; create one with \"memcg-trace trace --record FILE\"")]
    Foreign,
    #[error(
        "it was written by another version of memcg-trace (format {format}, ABI {abi}; this one reads format {FORMAT}, ABI {ABI}); \
         replay it with that version"
    )]
    Version { format: u16, abi: u32 },
    #[error("its header is damaged: {0}")]
    Start(Damage),
    #[error(transparent)]
    Io(io::Error),
}

/// The reason why a recording cannot be read further.
#[derive(Debug, Error)]
pub enum Damage {
    #[error("it is truncated: the run did not finish, or the file was not copied completely")]
    CutOff,
    #[error("it is corrupt: {0}")]
    Corrupt(String),
    #[error("cannot read further: {0}")]
    Io(io::Error),
}

/// Reads a recording.
pub struct Reader<R: Read> {
    frame: BufReader<Unpacked<R>>,
    start: Start,
}

impl<R: Read> Reader<R> {
    /// Reads the facts from the start of the run.
    pub fn open(file: R) -> Result<Self, OpenError> {
        let mut file = BufReader::new(file);
        let mut head = [0; MAGIC.len() + 6];
        file.read_exact(&mut head).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => OpenError::Foreign,
            _ => OpenError::Io(error),
        })?;
        let [magic @ .., f0, f1, a0, a1, a2, a3] = head;
        if magic != *MAGIC {
            return Err(OpenError::Foreign);
        }
        let (format, abi) = (u16::from_le_bytes([f0, f1]), u32::from_le_bytes([a0, a1, a2, a3]));
        if !(FORMAT_OLDEST..=FORMAT).contains(&format) || abi != ABI {
            return Err(OpenError::Version { format, abi });
        }
        // An entry is read in several small pieces.
        let mut frame = BufReader::new(Unpacked::new(file));
        let start = start(&mut frame).map_err(OpenError::Start)?;
        Ok(Self { frame, start })
    }

    pub fn start(&self) -> &Start {
        &self.start
    }

    /// The next entry; there is none after [`Entry::End`].
    pub fn read(&mut self) -> Result<Entry, Damage> {
        let file = &mut self.frame;
        Ok(match u8(file)? {
            EVENT => Entry::Record(Record::Event(event(file)?)),
            WALK => Entry::Record(Record::Walk(walk(file)?)),
            LOST => Entry::Record(Record::Lost {
                t_ns: u64(file)?,
                hook: hook(file)?,
                cpu: u32(file)?,
                events: u64(file)?,
            }),
            MISSED => {
                Entry::Record(Record::Missed { t_ns: u64(file)?, hook: hook(file)?, firings: u64(file)? })
            }
            NAMES => Entry::Record(Record::Learned(Learned::Names {
                key: Key { css: u64(file)?, serial: u64(file)? },
                facts: json(&bytes(file)?)?,
            })),
            CACHES => Entry::Record(Record::Learned(Learned::Copies(copies(file)?))),
            MISSING => Entry::Record(Record::Learned(Learned::NamesMissing(NamesMissing {
                memcgs: u64(file)?,
                of_slice: u64(file)?,
                slice: bytes(file)?.into(),
            }))),
            PINS => Entry::Record(Record::Learned(Learned::Pins(pins(file)?))),
            CHECKPOINT => Entry::Checkpoint(Box::new(checkpoint(file)?)),
            TIME => Entry::Time(u64(file)?),
            END => Entry::End(End {
                ended_ns: u64(file)?,
                clock: Clock { boottime_offset_ns: i64(file)?, realtime_offset_ns: i64(file)? },
                undecodable: u64(file)?,
            }),
            tag => return Err(Damage::Corrupt(format!("unknown kind of entry: {tag}"))),
        })
    }
}

fn start(file: &mut impl Read) -> Result<Start, Damage> {
    let mut start: Start = json(&bytes(file)?)?;
    for _ in 0..u64(file)? {
        start.paths.insert(u64(file)?, bytes(file)?.into());
    }
    Ok(start)
}

fn event(file: &mut impl Read) -> Result<Event, Damage> {
    let mut header = EventHeader::new_zeroed();
    file.read_exact(header.as_mut_bytes())?;
    let mut name = [0; NAME_MAX];
    let length = usize::from(header.name_len);
    let name = name.get_mut(..length).ok_or(DecodeError::TooLong(length))?;
    file.read_exact(name)?;
    Ok(Event::new(header, name)?)
}

fn walk(file: &mut impl Read) -> Result<Snapshot, Damage> {
    let (began_ns, ended_ns) = (u64(file)?, u64(file)?);
    let (mut events, mut all_charges) = (Vec::new(), HashMap::new());
    for _ in 0..u64(file)? {
        let event = event(file)?;
        if u8(file)? != 0 {
            let mut charges = Charges::new_zeroed();
            file.read_exact(charges.as_mut_bytes())?;
            all_charges.insert(Key { css: event.header().css, serial: event.header().serial }, charges);
        }
        events.push(event);
    }
    Ok(Snapshot { began_ns, ended_ns, events, charges: all_charges })
}

fn checkpoint(file: &mut impl Read) -> Result<Checkpoint, Damage> {
    let mut checkpoint: Checkpoint = json(&bytes(file)?)?;
    for _ in 0..u64(file)? {
        let mut memcg: Memcg = json(&bytes(file)?)?;
        memcg.path = if u8(file)? != 0 { Some(bytes(file)?.into()) } else { None };
        checkpoint.memcgs.push((memcg, json(&bytes(file)?)?));
    }
    Ok(checkpoint)
}

fn copies(file: &mut impl Read) -> Result<CacheCopies, Damage> {
    let (t_ns, hold) = (u64(file)?, u8(file)? != 0);
    let mut of = Vec::new();
    for _ in 0..u64(file)? {
        let key = Key { css: u64(file)?, serial: u64(file)? };
        let mut names = Vec::new();
        for _ in 0..u64(file)? {
            names.push(bytes(file)?.into());
        }
        of.push((key, names));
    }
    Ok(CacheCopies { t_ns, hold, of })
}

fn pins(file: &mut impl Read) -> Result<PinsRead, Damage> {
    let t_ns = u64(file)?;
    let mut of = Vec::new();
    for _ in 0..u64(file)? {
        let key = Key { css: u64(file)?, serial: u64(file)? };
        of.push((key, json(&bytes(file)?)?));
    }
    Ok(PinsRead { t_ns, of })
}

fn hook(file: &mut impl Read) -> Result<Hook, Damage> {
    let number = u16::from_le_bytes(array(file)?);
    Ok(Hook::from_number(number).ok_or(DecodeError::Hook(number))?)
}

fn json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Damage> {
    serde_json::from_slice(json).map_err(|error| Damage::Corrupt(error.to_string()))
}

/// Reads a length, and that many bytes.
fn bytes(file: &mut impl Read) -> Result<Vec<u8>, Damage> {
    let length = u32(file)?;
    if length > LENGTH_MAX {
        return Err(Damage::Corrupt(format!("a text of {length} bytes")));
    }
    let mut bytes = Vec::new();
    let read = file.take(u64::from(length)).read_to_end(&mut bytes)?;
    if read < length as usize { Err(Damage::CutOff) } else { Ok(bytes) }
}

fn u8(file: &mut impl Read) -> Result<u8, Damage> {
    Ok(u8::from_le_bytes(array(file)?))
}

fn u32(file: &mut impl Read) -> Result<u32, Damage> {
    Ok(u32::from_le_bytes(array(file)?))
}

fn u64(file: &mut impl Read) -> Result<u64, Damage> {
    Ok(u64::from_le_bytes(array(file)?))
}

fn i64(file: &mut impl Read) -> Result<i64, Damage> {
    Ok(i64::from_le_bytes(array(file)?))
}

fn array<const N: usize>(file: &mut impl Read) -> Result<[u8; N], Damage> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

impl From<io::Error> for Damage {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutOff,
            _ if error.get_ref().is_some_and(|inner| inner.is::<lz4_flex::frame::Error>()) => {
                Self::Corrupt("what is in it is not what was written".to_owned())
            }
            _ if error.get_ref().is_some_and(|inner| inner.is::<Excess>()) => {
                Self::Corrupt(error.to_string())
            }
            _ => Self::Io(error),
        }
    }
}

impl From<DecodeError> for Damage {
    fn from(error: DecodeError) -> Self {
        Self::Corrupt(error.to_string())
    }
}
