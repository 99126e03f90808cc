use super::*;
use crate::cause::{
    facts::{Folios, Process},
    pinned::Pinned,
};

const KEY: Key = Key { css: 0xff11, serial: 7 };

fn process(pid: u32) -> Process {
    Process { pid, comm: format!("p{pid}").into_bytes().into() }
}

fn holder(pid: u32, how: How) -> Holder {
    Holder { process: Some(process(pid)), how }
}

fn anon(refs: u64) -> Reference {
    let folios = Folios { folios: refs, pages: refs, ..Folios::default() };
    Reference { refs, thing: Thing::Anon { folios }, holders: Vec::new() }
}

fn css_set(holders: &[Holder]) -> Reference {
    Reference { refs: 1, thing: Thing::CssSet, holders: holders.to_vec() }
}

fn explained(before: Option<u64>, after: Option<u64>, references: Vec<Reference>) -> Explanation {
    Explanation::of(&Referenced { key: KEY, before, after, references })
}

/// Pins with their references, in order.
fn parts(explanation: &Explanation) -> Vec<(Pin, u64)> {
    explanation.parts.iter().map(|part| (part.pin, part.refs)).collect()
}

#[test]
fn parts_sum_up_to_the_references() {
    use Pin::{Anon, Task, Unexplained};
    type Row<'a> = (Option<u64>, Option<u64>, &'a [u64], u64, u64, bool, bool, &'a [(Pin, u64)]);
    // before, after, anonymous folios beside a task; references, of them explained, moved, complete, parts
    let table: &[Row<'_>] = &[
        (Some(11), Some(11), &[10], 11, 11, false, true, &[(Anon, 10), (Task, 1)]),
        // The rest is told.
        (Some(20), Some(20), &[10], 20, 11, false, false, &[(Anon, 10), (Task, 1), (Unexplained, 9)]),
        (Some(2), Some(2), &[], 2, 1, false, false, &[(Task, 1), (Unexplained, 1)]),
        // Between the two counts any sum is right.
        (Some(8), Some(12), &[10], 11, 11, true, true, &[(Anon, 10), (Task, 1)]),
        (Some(12), Some(8), &[10], 11, 11, true, true, &[(Anon, 10), (Task, 1)]),
        (Some(12), Some(15), &[10], 12, 11, true, false, &[(Anon, 10), (Task, 1), (Unexplained, 1)]),
        // More than was counted is claimed of nothing; what shrinks is memory.
        (Some(8), Some(9), &[10], 9, 9, true, true, &[(Anon, 8), (Task, 1)]),
        (Some(8), Some(8), &[10], 8, 8, true, true, &[(Anon, 7), (Task, 1)]),
        (Some(1), Some(1), &[10], 1, 1, true, true, &[(Task, 1)]),
        // One count is better than none; none is no count of 0.
        (Some(11), None, &[10], 11, 11, false, true, &[(Anon, 10), (Task, 1)]),
        (None, None, &[10], 11, 11, false, false, &[(Anon, 10), (Task, 1)]),
        // Freed meanwhile.
        (Some(0), Some(0), &[], 0, 0, true, true, &[]),
    ];
    for (before, after, folios, refs, of_these, moved, complete, expected) in table {
        let mut references = vec![css_set(&[holder(5, How::Task)])];
        references.extend(folios.iter().map(|refs| anon(*refs)));
        let explanation = explained(*before, *after, references);
        let row = format!("{before:?} {after:?} {folios:?}");
        assert_eq!((explanation.refs, explanation.explained), (*refs, *of_these), "{row}");
        assert_eq!((explanation.moved, explanation.is_complete()), (*moved, *complete), "{row}");
        assert_eq!(parts(&explanation), *expected, "{row}");
    }
}

#[test]
fn a_freed_memcg_is_no_leak() {
    assert!(explained(Some(0), Some(0), Vec::new()).is_freed());
    assert!(explained(Some(3), Some(0), vec![anon(3)]).is_freed());
    assert!(!explained(Some(3), Some(1), vec![anon(3)]).is_freed());
    assert!(!explained(None, None, Vec::new()).is_freed());
}

#[test]
fn the_order_is_that_of_size_then_kind_whatever_order_things_were_found_in() {
    let stock = |cpu| Reference {
        refs: 1,
        thing: Thing::ChargeStock { cpu, pages: Some(cpu.into()) },
        holders: Vec::new(),
    };
    let empty = Reference { refs: 0, ..stock(5) };
    let things = [anon(2), css_set(&[]), stock(3), anon(40), empty, stock(0)];
    let mut reversed = things.to_vec();
    reversed.reverse();
    let (one, other) =
        (explained(Some(46), Some(46), things.to_vec()), explained(Some(46), Some(46), reversed));
    assert_eq!(one, other);
    let expected =
        [(Pin::Anon, 40), (Pin::Anon, 2), (Pin::ChargeStock, 2), (Pin::Task, 1), (Pin::Unexplained, 1)];
    assert_eq!(parts(&one), expected);
    let stocks = one.parts.iter().find(|part| part.pin == Pin::ChargeStock).map(|part| part.behind.clone());
    assert_eq!(stocks, Some(Behind::ChargeStocks { cpus: vec![0, 3], pages: Some(3) }));
}

#[test]
fn the_short_form_is_by_kind() {
    let unreaped = holder(9, How::Unreaped { parent: process(4) });
    let task = css_set(&[unreaped, holder(6, How::Task), holder(6, How::Task)]);
    let explanation = explained(Some(60), Some(60), vec![anon(2), task, anon(20), anon(3)]);
    let Pinned { refs, explained, complete, by } = Pinned::of(&explanation);
    assert_eq!((refs, explained, complete), (60, 26, false));
    let pid = |process: &Option<Process>| process.as_ref().map(|process| process.pid);
    let by: Vec<_> = by.iter().map(|by| (by.pin, by.refs, by.things, by.holders, pid(&by.holder))).collect();
    let expected =
        [(Pin::Anon, 25, 3, 0, None), (Pin::Task, 1, 1, 2, Some(4)), (Pin::Unexplained, 34, 1, 0, None)];
    assert_eq!(by, expected);
}

#[test]
fn a_css_set_is_called_after_who_has_it() {
    let mounted = How::Mounted { point: Box::from(*b"/run/ns") };
    let unreaped = How::Unreaped { parent: process(1) };
    let table: &[(&[Holder], Pin)] = &[
        (&[], Pin::Task),
        (&[holder(5, How::Task)], Pin::Task),
        (&[holder(5, unreaped), holder(6, How::InNamespace)], Pin::Task),
        (&[holder(5, How::PerfEvent { fd: 3 })], Pin::PerfEvent),
        (&[holder(5, How::InNamespace)], Pin::CgroupNamespace),
        (&[holder(5, How::Open { fd: 3 })], Pin::CgroupNamespace),
        (&[Holder { process: None, how: mounted }], Pin::CgroupNamespace),
        (&[Holder { process: None, how: How::InFlight { socket: 9 } }], Pin::CgroupNamespace),
    ];
    for (holders, pin) in table {
        assert_eq!(parts(&explained(Some(1), Some(1), vec![css_set(holders)])), [(*pin, 1)], "{holders:?}");
    }
}

/// A socket of a network namespace that these have.
fn socket(net: NetNamespace, orphan: bool, holders: &[Holder]) -> Reference {
    let thing = Thing::Socket(Socket {
        protocol: Box::from(*b"TCP"),
        family: 2,
        local: Some(Box::from(*b"10.0.0.1:80")),
        remote: None,
        state: 10,
        inode: None,
        net: Some(net),
        orphan,
    });
    Reference { refs: 1, thing, holders: holders.to_vec() }
}

fn net(inode: u64, kernel_socket: bool, holders: &[Holder]) -> NetNamespace {
    NetNamespace { inode, is_initial: false, kernel_socket, holders: holders.to_vec() }
}

#[test]
fn sockets_that_nobody_has_are_their_namespaces() {
    let mounted = Holder { process: None, how: How::Mounted { point: Box::from(*b"/run/netns/a") } };
    let inside = holder(5, How::InNamespace);
    let fd = holder(5, How::Open { fd: 3 });
    let initial = NetNamespace { is_initial: true, ..net(1, true, &[]) };
    let table: &[(Reference, Pin)] = &[
        (socket(net(9, true, &[]), false, &[]), Pin::NetNamespace),
        (socket(net(9, true, std::slice::from_ref(&inside)), false, &[]), Pin::NetNamespace),
        (socket(net(9, false, std::slice::from_ref(&mounted)), false, &[]), Pin::NetNamespace),
        // Somebody has it, or could.
        (
            socket(net(9, false, std::slice::from_ref(&mounted)), false, std::slice::from_ref(&fd)),
            Pin::Socket,
        ),
        (socket(net(9, false, std::slice::from_ref(&inside)), false, &[]), Pin::Socket),
        (socket(net(9, false, &[]), true, &[]), Pin::Socket),
        (socket(initial, false, &[]), Pin::Socket),
    ];
    for (socket, pin) in table {
        assert_eq!(parts(&explained(Some(1), Some(1), vec![socket.clone()])), [(*pin, 1)], "{socket:?}");
    }
    let leaked = net(9, true, std::slice::from_ref(&mounted));
    let sockets = vec![
        socket(leaked.clone(), false, &[]),
        socket(net(8, true, &[]), false, &[]),
        socket(leaked, false, &[]),
    ];
    let explanation = explained(Some(3), Some(3), sockets);
    assert_eq!(parts(&explanation), [(Pin::NetNamespace, 2), (Pin::NetNamespace, 1)]);
    assert_eq!(explanation.parts[0].what.as_deref(), Some(&b"net:[9]"[..]));
    assert_eq!(explanation.parts[0].act.command.as_deref(), Some("umount /run/netns/a"));
    let advice = "no process, descriptor or mount was found that keeps the namespace";
    assert_eq!(explanation.parts[1].act.advice.as_deref(), Some(advice));
}
