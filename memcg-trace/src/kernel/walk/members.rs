//! The proof of the members of a layout that reading our own cgroup does not prove: what a walk reads must agree with itself,
//! with the directories and with what their files say. For BTF files, which may be of another kernel.

use std::{collections::HashSet, fs};

use foldhash::HashMap;
use memcg_trace_common::{CssFlag, EventHeader, Field};

use super::{Walk, WalkError};
use crate::{
    event::ID_LIMIT,
    kernel::{cgroupfs::hierarchy::Controller, page_bytes},
    record::Version,
};

/// A member that is elsewhere in this kernel, and how that shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongMember {
    pub member: &'static str,
    pub reads: String,
}

/// What the file system says about cgroups, by cgroup id, before and after a walk.
#[derive(Clone, Debug, Default)]
struct Directories {
    /// There all the time, with what is charged to them, pages.
    lasting: HashMap<u64, Option<u64>>,
    /// There before or after. Those of the whole hierarchy?
    any: HashSet<u64>,
    whole: bool,
}

/// Cgroups that are charged for less tell little: what comes and goes is of that size.
const CHARGED_PAGES: u64 = 256;
/// No css has as many references.
const REFS_LIMIT: u64 = 1 << 40;

/// Walks once, and compares.
pub fn prove(
    walk: &mut Walk,
    controller: &Controller,
    whole: bool,
) -> Result<Option<WrongMember>, WalkError> {
    let before = charges(controller);
    let mut headers = Vec::new();
    walk.walk(|walked| headers.push(walked.header))?;
    let after = charges(controller);
    let any = before.keys().chain(after.keys()).copied().collect();
    let lasting = after.into_iter().filter(|(id, _)| before.contains_key(id)).collect();
    Ok(wrong_member(&headers, &Directories { lasting, any, whole }))
}

/// What each directory's file says is charged, in pages.
fn charges(controller: &Controller) -> HashMap<u64, Option<u64>> {
    let file = match controller.version {
        Version::V1 => "memory.usage_in_bytes",
        Version::V2 => "memory.current",
    };
    let pages = |path: &[u8]| -> Option<u64> {
        let below = str::from_utf8(path).ok()?.trim_start_matches('/');
        // The root's file is a sum of other counters, or is missing.
        let text =
            fs::read_to_string(controller.mount.join(below).join(file)).ok().filter(|_| !below.is_empty())?;
        Some(text.trim().parse::<u64>().ok()? / page_bytes() as u64)
    };
    controller.census().paths.into_iter().map(|(id, path)| (id, pages(&path))).collect()
}

/// The kernel goes on while it is read, so that a member is wrong only if most of what is compared contradicts it.
fn wrong_member(headers: &[EventHeader], directories: &Directories) -> Option<WrongMember> {
    let wrong = |member, reads: String| Some(WrongMember { member, reads });
    let known = |fields: u32| headers.iter().filter(move |header| header.known & fields == fields);
    let csses: HashMap<u64, &EventHeader> = headers.iter().map(|header| (header.css, header)).collect();
    let with_parent = |field| {
        let children = known(field | Field::PARENT);
        children.filter_map(|child| Some((child, *csses.get(&child.parent_css)?)))
    };

    let (all, distinct) =
        (known(Field::SERIAL).count(), distinct(known(Field::SERIAL).map(|header| header.serial)));
    if most(all - distinct, all) {
        return wrong("cgroup_subsys_state.serial_nr", format!("{distinct} numbers in {all} memcgs"));
    }
    let younger = with_parent(Field::SERIAL).filter(|(child, parent)| child.serial <= parent.serial).count();
    if most(younger, with_parent(Field::SERIAL).count()) {
        return wrong("cgroup_subsys_state.serial_nr", format!("{younger} memcgs older than their parents"));
    }
    let apart = with_parent(Field::LEVEL)
        .filter(|(child, parent)| child.level != parent.level.wrapping_add(1))
        .count();
    if most(apart, with_parent(Field::LEVEL).count()) {
        return wrong("cgroup.level", format!("{apart} memcgs not one level below their parents"));
    }

    let is_live =
        |header: &&EventHeader| header.css_flags & (CssFlag::ONLINE | CssFlag::DYING) == CssFlag::ONLINE;
    let flagged = || known(Field::CSS_FLAGS | Field::CGROUP_ID);
    let there = || flagged().filter(|header| directories.lasting.contains_key(&header.cgroup_id));
    let dead = there().filter(|header| !is_live(header)).count();
    if most(dead, there().count()) {
        return wrong("cgroup_subsys_state.flags", format!("{dead} dying memcgs that have a directory"));
    }
    let gone =
        || flagged().filter(|header| directories.whole && !directories.any.contains(&header.cgroup_id));
    let undead = gone().filter(is_live).count();
    if most(undead, gone().count()) {
        return wrong("cgroup_subsys_state.flags", format!("{undead} live memcgs without a directory"));
    }

    let ids = || known(Field::MEMCG_ID).filter(|header| header.known & Field::CSS_FLAGS != 0).filter(is_live);
    let valid = ids().map(|header| header.memcg_id).filter(|id| (1..=ID_LIMIT as u32).contains(id));
    let (all, valid) = (ids().count(), valid.collect::<HashSet<_>>().len());
    if most(all - valid, all) {
        return wrong("mem_cgroup.id", format!("{valid} different memcg IDs of {all} live memcgs"));
    }
    let charged = || {
        let both = known(Field::CHARGED | Field::CGROUP_ID).filter_map(|header| {
            let file = directories.lasting.get(&header.cgroup_id).copied().flatten()?;
            Some((header.charged_pages, file))
        });
        both.filter(|(read, file)| read.max(file) >= &CHARGED_PAGES)
    };
    let off = charged().filter(|(read, file)| read.max(file) / 2 > *read.min(file)).count();
    if most(off, charged().count()) {
        return wrong("mem_cgroup.memory", format!("{off} charges that are not those of the memcgs' files"));
    }
    let impossible =
        known(Field::CSS_REFS).filter(|header| !(1..REFS_LIMIT).contains(&header.css_refs)).count();
    if most(impossible, known(Field::CSS_REFS).count()) {
        return wrong("cgroup_subsys_state.refcnt", format!("{impossible} impossible counts of references"));
    }
    None
}

fn most(part: usize, all: usize) -> bool {
    2 * part > all
}

fn distinct(numbers: impl Iterator<Item = u64>) -> usize {
    numbers.collect::<HashSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros as _;

    use super::*;

    const LIVE: u64 = 8;
    const DYING: u64 = 4;

    /// A root, live children with directories, dying ones without.
    fn sound() -> (Vec<EventHeader>, Directories) {
        let header = |number: u64| EventHeader {
            css: 0x1000 * (number + 1),
            serial: 10 + number,
            cgroup_id: 100 + number,
            parent_css: 0x1000,
            level: u32::from(number > 0),
            css_flags: if number <= LIVE { CssFlag::ONLINE } else { CssFlag::DYING },
            memcg_id: if number <= LIVE { number as u32 + 1 } else { 0 },
            charged_pages: 1000,
            css_refs: 5,
            known: Field::CSS
                | Field::SERIAL
                | Field::CGROUP_ID
                | Field::LEVEL
                | Field::CSS_FLAGS
                | Field::MEMCG_ID
                | Field::CHARGED
                | if number > 0 { Field::PARENT } else { 0 }
                | if number > LIVE { Field::CSS_REFS } else { 0 },
            ..EventHeader::new_zeroed()
        };
        let lasting: HashMap<_, _> =
            (0..=LIVE).map(|number| (100 + number, (number > 0).then_some(990))).collect();
        let any = lasting.keys().copied().collect();
        ((0..=LIVE + DYING).map(header).collect(), Directories { lasting, any, whole: true })
    }

    #[test]
    fn a_sound_walk_contradicts_nothing() {
        let (mut headers, directories) = sound();
        assert_eq!(wrong_member(&headers, &directories), None);
        // Made, removed and charged meanwhile.
        headers[1].css_flags = CssFlag::DYING;
        headers[2].charged_pages = 5;
        headers[LIVE as usize + 1].css_flags = CssFlag::ONLINE;
        assert_eq!(wrong_member(&headers, &directories), None);
    }

    #[test]
    fn a_member_that_is_elsewhere_is_named() {
        type Move = fn(&mut EventHeader);
        let table: [(&str, Move); 9] = [
            ("cgroup_subsys_state.serial_nr", |header| header.serial = 7),
            ("cgroup_subsys_state.serial_nr", |header| header.serial = u64::MAX - header.css),
            ("cgroup.level", |header| header.level = 3),
            ("cgroup_subsys_state.flags", |header| header.css_flags = 0),
            ("cgroup_subsys_state.flags", |header| header.css_flags = CssFlag::ONLINE),
            ("mem_cgroup.id", |header| header.memcg_id = 0),
            ("mem_cgroup.id", |header| header.memcg_id = header.css as u32 + (1 << 20)),
            ("mem_cgroup.memory", |header| header.charged_pages = 0),
            ("cgroup_subsys_state.refcnt", |header| header.css_refs = 0xffff_8881_0000_0000),
        ];
        for (member, moved) in table {
            let (mut headers, directories) = sound();
            headers.iter_mut().for_each(moved);
            let wrong = wrong_member(&headers, &directories).expect(member);
            assert_eq!(wrong.member, member, "{}", wrong.reads);
        }
    }
}
