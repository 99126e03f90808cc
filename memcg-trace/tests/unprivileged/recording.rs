//! What holds for any recording: it gives back what was put in, any part of it gives a part of that, and bytes that are
//! no recording do no harm.

use std::{collections::HashMap, io::Write as _};

use lz4_flex::frame::FrameEncoder;
use memcg_trace::{
    attribution::{FactSource, Facts, NamesMissing, Role, Runtime},
    cause::{Pin, Pinned, PinnedBy, Process},
    event::{Event, Key},
    record::{
        Backend, CacheCopies, Clock, End, Learned, PinsRead, Record, Snapshot, Start,
        recording::{Damage, Entry, OpenError, Reader, Writer},
    },
};
use memcg_trace_common::{ABI, Charges, EventHeader, Hook, NAME_MAX, WalkLayout};
use proptest::{array::uniform32, collection::vec, prelude::*, sample::Index};
use zerocopy::{FromBytes as _, FromZeros as _, IntoBytes as _};

/// Magic, format and ABI: what stands before the compressed part.
const HEAD: usize = 28;

fn start() -> Start {
    Start {
        kernel: "6.12.1".to_owned(),
        boot_id: Some("0d1b6b4c".to_owned()),
        controller: "cgroup v2 at /sys/fs/cgroup".to_owned(),
        backend: Backend::Tracepoint,
        backend_reason: Some("no kprobes".to_owned()),
        unknown: vec![("names".to_owned(), "of a reason".to_owned())],
        page_bytes: 4096,
        perf_pages: 512,
        layout: WalkLayout::UNKNOWN,
        clock: Clock { boottime_offset_ns: 7, realtime_offset_ns: i64::MAX },
        started_ns: 1,
        grace_ns: u64::MAX,
        live: Some(3),
        dying_unseen: None,
        paths: HashMap::from([(1, Box::from(*b"/")), (2, Box::from(*b"/\xff\n"))]),
        segment: None,
    }
}

/// What is written; a flush leaves no entry.
#[derive(Clone, Debug)]
enum Step {
    Record(Record),
    Time(u64),
    Flush,
}

fn event() -> impl Strategy<Value = Event> {
    let header = vec(any::<u8>(), size_of::<EventHeader>());
    (header, 0..Hook::COUNT as u16, vec(any::<u8>(), 0..=NAME_MAX)).prop_map(|(header, hook, name)| {
        let header = EventHeader::read_from_bytes(&header).expect("as many bytes as a header has");
        Event::new(EventHeader { hook, ..header }, &name).expect("a hook and a name of the contract")
    })
}

fn charges() -> impl Strategy<Value = Charges> {
    vec(any::<u8>(), size_of::<Charges>())
        .prop_map(|bytes| Charges::read_from_bytes(&bytes).expect("as many bytes as charges have"))
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let memcgs = vec((event(), proptest::option::of(charges())), 0..20);
    (any::<[u64; 2]>(), memcgs).prop_map(|([began_ns, ended_ns], memcgs)| {
        let key = |event: &Event| Key { css: event.header().css, serial: event.header().serial };
        let charges = memcgs.iter().filter_map(|(event, charges)| Some((key(event), (*charges)?)));
        Snapshot {
            began_ns,
            ended_ns,
            charges: charges.collect(),
            events: memcgs.into_iter().map(|m| m.0).collect(),
        }
    })
}

fn hook() -> impl Strategy<Value = Hook> {
    any::<Index>().prop_map(|index| *index.get(&Hook::ALL))
}

fn facts() -> impl Strategy<Value = Facts> {
    let text = || proptest::option::of(any::<String>());
    (text(), text(), text(), proptest::collection::btree_map(any::<String>(), any::<String>(), 0..3))
        .prop_map(|(id, pod, image, labels)| {
            let (runtime, role) = (Some(Runtime::CriO), Some(Role::Sandbox));
            Facts { id, pod, image, runtime, role, labels, ..Facts::of(FactSource::DockerApi) }
        })
}

fn caches() -> impl Strategy<Value = Record> {
    let name = || vec(any::<u8>(), 0..20).prop_map(Box::from);
    let of = (any::<[u64; 2]>(), vec(name(), 0..3))
        .prop_map(|([css, serial], names)| (Key { css, serial }, names));
    (any::<(u64, bool)>(), vec(of, 0..5))
        .prop_map(|((t_ns, hold), of)| Record::Learned(Learned::Copies(CacheCopies { t_ns, hold, of })))
}

fn pins() -> impl Strategy<Value = Record> {
    let pin = prop_oneof![Just(Pin::File), Just(Pin::Task), Just(Pin::Unexplained)];
    let bytes = || vec(any::<u8>(), 0..20).prop_map(Box::from);
    let process = (any::<u32>(), bytes()).prop_map(|(pid, comm)| Process { pid, comm });
    let by = (pin, any::<[u64; 3]>(), proptest::option::of(bytes()), proptest::option::of(process)).prop_map(
        |(pin, [refs, things, holders], what, holder)| PinnedBy { pin, refs, things, what, holder, holders },
    );
    let pinned = (any::<(u64, u64, bool)>(), vec(by, 0..4))
        .prop_map(|((refs, explained, complete), by)| Pinned { refs, explained, complete, by });
    let of = (any::<[u64; 2]>(), pinned).prop_map(|([css, serial], pinned)| (Key { css, serial }, pinned));
    (any::<u64>(), vec(of, 0..5)).prop_map(|(t_ns, of)| Record::Learned(Learned::Pins(PinsRead { t_ns, of })))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => event().prop_map(|event| Step::Record(Record::Event(event))),
        1 => snapshot().prop_map(|snapshot| Step::Record(Record::Walk(snapshot))),
        1 => (any::<(u64, u32, u64)>(), hook())
            .prop_map(|((t_ns, cpu, events), hook)| Step::Record(Record::Lost { t_ns, hook, cpu, events })),
        1 => (any::<(u64, u64)>(), hook())
            .prop_map(|((t_ns, firings), hook)| Step::Record(Record::Missed { t_ns, hook, firings })),
        1 => (any::<[u64; 2]>(), vec(facts(), 0..3)).prop_map(|([css, serial], facts)| {
            Step::Record(Record::Learned(Learned::Names { key: Key { css, serial }, facts }))
        }),
        1 => (any::<[u64; 2]>(), vec(any::<u8>(), 0..20)).prop_map(|([memcgs, of_slice], slice)| {
            let missing = NamesMissing { memcgs, slice: slice.into(), of_slice };
            Step::Record(Record::Learned(Learned::NamesMissing(missing)))
        }),
        1 => caches().prop_map(Step::Record),
        1 => pins().prop_map(Step::Record),
        2 => any::<u64>().prop_map(Step::Time),
        2 => Just(Step::Flush),
    ]
}

fn end() -> impl Strategy<Value = End> {
    any::<(u64, i64, i64, u64)>().prop_map(
        |(ended_ns, boottime_offset_ns, realtime_offset_ns, undecodable)| End {
            ended_ns,
            clock: Clock { boottime_offset_ns, realtime_offset_ns },
            undecodable,
        },
    )
}

/// The recording, and what must be in it.
fn record(steps: Vec<Step>, end: End) -> (Vec<u8>, Vec<Entry>) {
    const NEVER: &str = "a Vec takes all";
    let mut writer = Writer::new(Vec::new(), &start()).expect(NEVER);
    let mut entries = Vec::new();
    for step in steps {
        match step {
            Step::Record(record) => {
                writer.record(&record).expect(NEVER);
                entries.push(Entry::Record(record));
            }
            Step::Time(now_ns) => {
                writer.time(now_ns).expect(NEVER);
                entries.push(Entry::Time(now_ns));
            }
            Step::Flush => writer.flush().expect(NEVER),
        }
    }
    entries.push(Entry::End(end));
    (writer.finish(&end).expect(NEVER), entries)
}

/// An LZ4 frame of these bytes, behind `file`.
fn frame(file: Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    let mut frame = FrameEncoder::new(file);
    frame.write_all(bytes).expect("a Vec takes all");
    frame.finish().expect("a Vec takes all")
}

/// What a file has: its entries up to the end, or to the damage.
fn read(mut reader: Reader<&[u8]>) -> (Vec<Entry>, Option<Damage>) {
    let mut entries = Vec::new();
    loop {
        match reader.read() {
            Ok(entry) => entries.push(entry),
            Err(damage) => return (entries, Some(damage)),
        }
        if matches!(entries.last(), Some(Entry::End(_))) {
            return (entries, None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn it_gives_back_what_was_put_in(steps in vec(step(), 0..60), end in end()) {
        let (file, put_in) = record(steps, end);
        let reader = Reader::open(&*file).expect("a recording");
        prop_assert_eq!(reader.start(), &start());
        let (entries, damage) = read(reader);
        prop_assert!(damage.is_none(), "{damage:?}");
        prop_assert_eq!(entries, put_in);
    }

    #[test]
    fn a_part_gives_a_part(steps in vec(step(), 0..60), end in end(), cuts in uniform32(any::<Index>())) {
        let (file, put_in) = record(steps, end);
        for cut in cuts.map(|cut| cut.index(file.len())) {
            match Reader::open(&file[..cut]) {
                Ok(reader) => {
                    let (entries, damage) = read(reader);
                    prop_assert!(put_in.starts_with(&entries));
                    // The mark that ends the LZ4 frame says nothing that is not known by then.
                    let whole = entries.len() == put_in.len();
                    prop_assert!(if whole { damage.is_none() } else { matches!(damage, Some(Damage::CutOff)) }, "{damage:?}");
                }
                Err(OpenError::Foreign) => prop_assert!(cut < HEAD),
                Err(error) => prop_assert!(matches!(error, OpenError::Start(Damage::CutOff)), "{error:?}"),
            }
        }
    }

    #[test]
    fn a_flush_is_enough(steps in vec(step(), 0..60), last in event(), end in end()) {
        let put_in = record(steps.clone(), end).1;
        let mut killed = Vec::new();
        let mut writer = Writer::new(&mut killed, &start()).expect("a Vec takes all");
        for step in steps.into_iter().chain([Step::Flush, Step::Record(Record::Event(last))]) {
            match step {
                Step::Record(record) => writer.record(&record),
                Step::Time(now_ns) => writer.time(now_ns),
                Step::Flush => writer.flush(),
            }.expect("a Vec takes all");
        }
        drop(writer);
        let (entries, damage) = read(Reader::open(&*killed).expect("a recording"));
        prop_assert_eq!(&entries[..], &put_in[..put_in.len() - 1]);
        prop_assert!(matches!(damage, Some(Damage::CutOff)), "{damage:?}");
    }

    #[test]
    fn changed_bytes_do_no_harm(
        steps in vec(step(), 0..60), end in end(), changes in uniform32((any::<Index>(), 1..=u8::MAX)),
    ) {
        let (mut file, _) = record(steps, end);
        for (place, change) in changes {
            let place = place.index(file.len());
            file[place] ^= change;
            if let Ok(reader) = Reader::open(&*file) {
                read(reader);
            }
            file[place] ^= change;
        }
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..4096), compressed in any::<bool>()) {
        let head = record(Vec::new(), End { ended_ns: 0, clock: start().clock, undecodable: 0 }).0;
        let mut file = head[..HEAD].to_vec();
        if compressed {
            // A sound LZ4 frame around them.
            file = frame(file, &bytes);
        } else {
            file.extend(&bytes);
        }
        for file in [&*bytes, &*file] {
            if let Ok(reader) = Reader::open(file) {
                read(reader);
            }
        }
    }
}

/// Lengths and counts that nothing follows: what they claim is never set aside.
#[test]
fn claims_cost_nothing() {
    let head = record(Vec::new(), End { ended_ns: 0, clock: start().clock, undecodable: 0 }).0;
    let json = serde_json::to_vec(&start()).expect("text");
    let beginning = [&(json.len() as u32).to_le_bytes()[..], &json].concat();
    let walk = [&beginning[..], &[0; 8], &[2], &[0; 16], &[0xff; 8], &[0; 40]].concat();
    let claims = [vec![0xff; 4], [&beginning[..], &[0xff; 20]].concat(), walk];
    for claim in claims {
        let file = frame(head[..HEAD].to_vec(), &claim);
        match Reader::open(&*file) {
            Ok(reader) => assert!(matches!(read(reader).1, Some(Damage::CutOff))),
            // No text is that long.
            Err(error) => assert!(matches!(error, OpenError::Start(Damage::Corrupt(_))), "{error:?}"),
        }
    }
}

/// LZ4 makes a byte of 255 equal ones: a walk of 4 million memcgs fits into a file of 3 MB.
#[test]
fn bombs_are_given_up() {
    const MEMCGS: u64 = 400_000;
    let head = record(Vec::new(), End { ended_ns: 0, clock: start().clock, undecodable: 0 }).0;
    let json = serde_json::to_vec(&start()).expect("text");
    let beginning = [&(json.len() as u32).to_le_bytes()[..], &json, &[0; 8]].concat();
    let mut bomb = FrameEncoder::new(head[..HEAD].to_vec());
    bomb.write_all(&beginning).expect("a Vec takes all");
    // The kind of entry is that of a walk.
    bomb.write_all(&[&[2][..], &[0; 16], &MEMCGS.to_le_bytes()].concat()).expect("a Vec takes all");
    let event = EventHeader { hook: Hook::Walk as u16, ..EventHeader::new_zeroed() };
    let block = [event.as_bytes(), &[0]].concat().repeat(1000);
    for _ in 0..MEMCGS / 1000 {
        bomb.write_all(&block).expect("a Vec takes all");
    }
    let file = bomb.finish().expect("a Vec takes all");
    let (entries, damage) = read(Reader::open(&*file).expect("a recording"));
    assert_eq!(entries, [], "of {} bytes", file.len());
    let said = damage.map(|damage| damage.to_string()).unwrap_or_default();
    assert!(said.contains("unpacks to more than 32 times its size"), "{said}");
}

/// What is new in a format is a kind of entries.
#[test]
fn earlier_formats_are_read() {
    let event = EventHeader { hook: Hook::CssFree as u16, ..EventHeader::new_zeroed() };
    let event = Event::new(event, b"").expect("an event");
    let end = End { ended_ns: 7, clock: start().clock, undecodable: 0 };
    let (whole, put_in) = record(vec![Step::Record(Record::Event(event))], end);
    for format in [1, 2, 3] {
        let mut file = whole.clone();
        file[22] = format;
        let (entries, damage) = read(Reader::open(&*file).expect("a recording"));
        assert!(damage.is_none(), "{damage:?}");
        assert_eq!(entries, put_in, "format {format}");
    }
}

#[test]
fn other_files_are_told_apart() {
    let whole = record(Vec::new(), End { ended_ns: 0, clock: start().clock, undecodable: 0 }).0;
    for foreign in [&b""[..], b"\x7fELF", b"memcg-trace recording"] {
        assert!(matches!(Reader::open(foreign), Err(OpenError::Foreign)), "{foreign:?}");
    }
    for (place, format, abi) in [(22, 0x0101, ABI), (24, 5, 0x0101)] {
        let mut newer = whole.clone();
        newer[place..place + 2].copy_from_slice(&[1, 1]);
        match Reader::open(&*newer) {
            Err(OpenError::Version { format: f, abi: a }) => assert_eq!((f, a), (format, abi)),
            other => panic!("{:?}", other.err()),
        }
    }
}
