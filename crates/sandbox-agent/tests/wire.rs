//! The codec against bytes that nobody made for it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test that fails says where"
)]

use proptest::prelude::*;
use sandbox_agent::wire::{
    Bytes, Channel, Counts, Credit, Decoder, End, Ended, Entry, EntryKind, FrameSet, HEADER, Input,
    JobInfo, JobState, MAX_DATA, MAX_PAYLOAD, Offer, OnDisconnect, Output, Program, RunSpec,
    SessionEffect, ToAgent, ToClient, Variable, Window, WireError,
};

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes)
}

fn run_spec() -> impl Strategy<Value = RunSpec> {
    let program = prop_oneof![
        prop::collection::vec(bytes(), 0..5).prop_map(Program::Argv),
        bytes().prop_map(Program::Shell),
    ];
    let variables = prop::collection::vec(
        (bytes(), bytes()).prop_map(|(name, value)| Variable { name, value }),
        0..4,
    );
    let output = prop_oneof![
        Just(Output::Stream),
        any::<(u32, u32, u64)>().prop_map(|(head, tail, spill)| Output::Capture {
            head,
            tail,
            spill
        }),
        Just(Output::Discard),
    ];
    let window =
        prop::option::of(any::<(u16, u16)>().prop_map(|(rows, columns)| Window { rows, columns }));
    (
        (
            program,
            any::<u32>(),
            prop::option::of(bytes()),
            any::<bool>(),
            variables,
        ),
        (
            prop::option::of(".{0,20}"),
            window,
            any::<(u64, u32)>(),
            output,
            any::<[bool; 2]>(),
        ),
    )
        .prop_map(
            |((program, session, cwd, env_clear, env), (user, pty, times, output, flags))| {
                RunSpec {
                    program,
                    session,
                    cwd,
                    env_clear,
                    env,
                    user,
                    pty,
                    output,
                    input: if flags[0] { Input::Null } else { Input::Stream },
                    timeout_ms: times.0,
                    grace_ms: times.1,
                    on_disconnect: if flags[1] {
                        OnDisconnect::Kill
                    } else {
                        OnDisconnect::Keep
                    },
                }
            },
        )
}

fn to_agent() -> impl Strategy<Value = ToAgent> {
    prop_oneof![
        Just(ToAgent::Ping),
        run_spec().prop_map(ToAgent::Run),
        (run_spec(), any::<u32>()).prop_map(|(spec, kept)| ToAgent::JobStart(spec, kept)),
        prop::collection::vec(any::<u8>(), 0..300)
            .prop_map(|bytes| ToAgent::Data(Channel::Stdin, bytes)),
        any::<u32>().prop_map(|bytes| ToAgent::Credit(Credit {
            channel: Channel::Stderr,
            bytes
        })),
        (bytes(), any::<u32>(), any::<u64>(), bytes()).prop_map(|(path, mode, size, target)| {
            ToAgent::Entry(Entry {
                path,
                kind: EntryKind::Link,
                mode,
                size,
                target,
            })
        }),
    ]
}

fn to_client() -> impl Strategy<Value = ToClient> {
    let ended = (
        any::<u8>(),
        any::<[u32; 2]>(),
        any::<u64>(),
        prop::option::of(bytes()),
    )
        .prop_map(|(code, counts, duration_us, cwd)| {
            ToClient::Ended(Ended {
                end: End::Signalled(code),
                stdout: Counts::default(),
                stderr: Counts::default(),
                timed_out: code > 9,
                cancelled: code < 9,
                killed: counts[0],
                survivors: counts[1],
                duration_us,
                cwd,
                session: SessionEffect::Renewed,
            })
        });
    let jobs = prop::collection::vec(
        (any::<[u32; 2]>(), bytes(), any::<u64>()).prop_map(|(numbers, command, duration_us)| {
            JobInfo {
                job: numbers[0],
                pid: numbers[1],
                state: JobState::Ended(End::Exited(3)),
                command,
                duration_us,
                stdout: Counts::default(),
                stderr: Counts::default(),
            }
        }),
        0..5,
    );
    prop_oneof![
        ended,
        jobs.prop_map(ToClient::Jobs),
        any::<u64>().prop_map(ToClient::Done),
        bytes().prop_map(ToClient::Probes),
    ]
}

/// Feeds `bytes` in pieces that end at `cuts`, and gives what came out.
fn decode<F: FrameSet>(bytes: &[u8], cuts: &[usize]) -> (Vec<(u32, F)>, Option<WireError>) {
    let mut decoder = Decoder::<F>::new();
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let (mut frames, mut start) = (Vec::new(), 0);
    for end in ends {
        decoder.push(&bytes[start..end]);
        assert!(decoder.held() <= HEADER + MAX_PAYLOAD + end - start);
        assert!(decoder.capacity() <= 2 * (HEADER + MAX_PAYLOAD + 2 * MAX_DATA));
        start = end;
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// A frame of arbitrary kind and content, whose length is sometimes right.
fn roughly_a_frame() -> impl Strategy<Value = Vec<u8>> {
    (
        any::<u8>(),
        any::<u32>(),
        prop::collection::vec(any::<u8>(), 0..60),
        0..8u32,
    )
        .prop_map(|(kind, id, payload, off)| {
            let length = u32::try_from(payload.len())
                .unwrap()
                .wrapping_add(if off == 0 { id } else { 0 });
            [
                &length.to_be_bytes()[..],
                &[kind],
                &id.to_be_bytes(),
                &payload,
            ]
            .concat()
        })
}

proptest! {
    #[test]
    fn what_a_client_sends_comes_out_whatever_the_pieces(
        frames in prop::collection::vec((any::<u32>(), to_agent()), 0..6),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut bytes = Vec::new();
        for (id, frame) in &frames {
 frame.encode(*id, &mut bytes);
 }
        prop_assert_eq!(decode::<ToAgent>(&bytes, &cuts), (frames, None));
    }

    #[test]
    fn what_the_agent_sends_comes_out_whatever_the_pieces(
        frames in prop::collection::vec((any::<u32>(), to_client()), 0..6),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut bytes = Vec::new();
        for (id, frame) in &frames {
 frame.encode(*id, &mut bytes);
 }
        prop_assert_eq!(decode::<ToClient>(&bytes, &cuts), (frames, None));
    }

    #[test]
    fn garbage_gives_the_same_whatever_the_pieces(
        pieces in prop::collection::vec(roughly_a_frame(), 0..6),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let bytes = pieces.concat();
        prop_assert_eq!(decode::<ToAgent>(&bytes, &[]), decode::<ToAgent>(&bytes, &cuts));
        prop_assert_eq!(decode::<ToClient>(&bytes, &[]), decode::<ToClient>(&bytes, &cuts));
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        decode::<ToAgent>(&bytes, &[7, 30]);
        decode::<ToClient>(&bytes, &[7, 30]);
    }

    #[test]
    fn a_damaged_frame_is_an_error_or_another_frame(
        frame in to_agent(), at in any::<usize>(), to in any::<u8>(),
    ) {
        let mut bytes = Vec::new();
        frame.encode(1, &mut bytes);
        let at = at % bytes.len();
        bytes[at] = to;
        decode::<ToAgent>(&bytes, &[at]);
    }
}

#[test]
fn a_long_frame_of_unknown_kind_is_skipped_without_being_held() {
    let mut decoder = Decoder::<ToAgent>::new();
    let length = u32::try_from(MAX_PAYLOAD).unwrap();
    decoder.push(&[&length.to_be_bytes()[..], &[0x7f], &[0; 4]].concat());
    assert_eq!(decoder.next_frame(), Ok(None));
    for _ in 0..MAX_PAYLOAD / MAX_DATA {
        decoder.push(&vec![0xaa; MAX_DATA]);
        assert_eq!(decoder.next_frame(), Ok(None));
        assert_eq!(decoder.held(), 0);
    }
    let mut ping = Vec::new();
    ToAgent::Ping.encode(9, &mut ping);
    decoder.push(&ping);
    assert_eq!(decoder.next_frame(), Ok(Some((9, ToAgent::Ping))));
}

#[test]
fn a_length_beyond_the_bound_is_refused_before_anything_is_held() {
    let mut decoder = Decoder::<ToAgent>::new();
    decoder.push(&[0xff, 0xff, 0xff, 0xff, 0x03, 0, 0, 0, 1]);
    let error = WireError::TooLong {
        kind: 3,
        length: u32::MAX,
        most: MAX_PAYLOAD,
    };
    assert_eq!(decoder.next_frame(), Err(error));
}

#[test]
fn a_ping_has_the_documented_bytes() {
    let mut bytes = Vec::new();
    ToAgent::Ping.encode(0x0102_0304, &mut bytes);
    assert_eq!(bytes, [0, 0, 0, 0, 0x02, 1, 2, 3, 4]);
    bytes.clear();
    ToAgent::Data(Channel::Stdin, b"ab".to_vec()).encode(5, &mut bytes);
    assert_eq!(bytes, [0, 0, 0, 3, 0x04, 0, 0, 0, 5, 0, b'a', b'b']);
}

proptest! {
    #[test]
    fn offers_survive_the_way(port in 1..=u16::MAX, clients: [u8; 16], agents: [u8; 16]) {
        let offer = Offer { port, clients, agents };
        let line = Offer::to_line(Some(&offer));
        prop_assert!(line.len() <= Offer::LONGEST);
        prop_assert_eq!(Offer::parse(line.trim_end_matches('\n')), Some(offer));
    }

    #[test]
    fn what_is_no_offer_is_none(line in ".*", port: u16, digits in "[0-9a-fA-F+]{30,34}") {
        prop_assert_eq!(Offer::parse(&line), None);
        prop_assert_eq!(Offer::parse(&format!("direct {port} {digits}")), None);
        prop_assert_eq!(Offer::parse(&format!("direct {port} +{digits} {digits}")), None);
        prop_assert_eq!(Offer::parse(Offer::to_line(None).trim_end()), None);
    }
}
