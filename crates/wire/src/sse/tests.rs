use proptest::prelude::*;

use super::*;

/// An event that owns what it says, and shows it.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Data(String),
    Comment(String),
    Stray(String),
    Field(String, String),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match event {
            Event::Data(data) => Self::Data(text(data)),
            Event::Comment(comment) => Self::Comment(text(comment)),
            Event::Stray(line) => Self::Stray(text(line)),
            Event::Field { name, value } => Self::Field(name.to_owned(), text(value)),
        }
    }
}

fn data(text: &str) -> Seen {
    Seen::Data(text.to_owned())
}

fn read(pieces: &[&[u8]]) -> Vec<Seen> {
    let mut reader = EventReader::new(1 << 20);
    let mut seen = Vec::new();
    for piece in pieces {
        reader.feed(piece, |event| seen.push(event.into())).unwrap();
    }
    reader.finish(|event| seen.push(event.into())).unwrap();
    seen
}

#[test]
fn every_line_end_and_every_field() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = [
            "\u{feff}: hello",
            "event: x",
            "id: 7",
            "retry:10",
            "data: a",
            "data:b",
            "data",
            "data:  c",
            "",
            "",
            "data:",
            "",
            "odd",
            "data: d",
            "",
        ]
        .join(end)
            + end;
        let field = |name: &str, value: &str| Seen::Field(name.to_owned(), value.to_owned());
        assert_eq!(
            read(&[stream.as_bytes()]),
            [
                Seen::Comment("hello".to_owned()),
                field("event", "x"),
                field("id", "7"),
                field("retry", "10"),
                data("a\nb\n\n c"),
                data(""),
                Seen::Stray("odd".to_owned()),
                data("d"),
            ],
            "{end:?}"
        );
    }
}

#[test]
fn line_ends_and_the_bom_may_be_split_between_pieces() {
    assert_eq!(read(&[b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n"]), [data("a\nb")]);
    assert_eq!(read(&[b"data: a\r", b"\r", b"data: b\r\r"]), [data("a"), data("b")]);
    assert_eq!(read(&[b"\xef", b"\xbb", b"\xbfdata: a", b"\n\n"]), [data("a")]);
    // A second byte order mark is a part of its line.
    assert_eq!(read(&[b"data: a\n\n\xef\xbb\xbfdata: b\n\n"]).len(), 2);
}

#[test]
fn what_stands_at_the_end_without_a_line_end_is_reported() {
    let broken = r#"{"error":"Unhandled exception during response stream: x"}"#;
    let stream = format!("data: {{}}\n\n{broken}");
    assert_eq!(read(&[stream.as_bytes()]), [data("{}"), Seen::Stray(broken.to_owned())]);
    assert_eq!(read(&[b"data: a\n"]), [data("a")]);
    assert_eq!(read(&[b"data: a\ndata: b"]), [data("a\nb")]);
    assert_eq!(read(&[b""]), []);
    assert_eq!(read(&[b"\xef\xbb\xbf"]), []);
}

#[test]
fn a_line_that_is_too_long_is_a_lasting_problem() {
    let mut reader = EventReader::new(16);
    let mut count = 0;
    reader.feed(b"data: 0123456789\n\n", |_| count += 1).unwrap();
    assert_eq!(count, 1);
    let problem = StreamProblem::LineTooLong { limit_bytes: 16 };
    assert_eq!(reader.feed(b"data: 012345678", |_| count += 1), Ok(()));
    assert_eq!(reader.feed(b"9a", |_| count += 1), Err(problem));
    assert_eq!(reader.feed(b"\n\n", |_| count += 1), Err(problem));
    assert_eq!(reader.finish(|_| count += 1), Err(problem));
    assert_eq!(count, 1);
    assert_eq!(problem.to_string(), "a line of the event stream is longer than 16 bytes");
}

#[test]
fn an_event_of_many_lines_is_bounded_too() {
    let mut reader = EventReader::new(1000).with_max_event_bytes(10);
    let problem = StreamProblem::EventTooLarge { limit_bytes: 10 };
    assert_eq!(reader.feed(b"data: 12345\ndata: 1234\n", |_| ()), Ok(()));
    assert_eq!(reader.feed(b"data:\n", |_| ()), Err(problem));
}

/// Eight mebibytes in small pieces: each byte is looked at once, or this would take minutes.
#[test]
fn a_huge_line_is_read_in_linear_time() {
    let mut reader = EventReader::new(16 << 20);
    let mut sizes = Vec::new();
    let mut on_event = |event: Event<'_>| {
        if let Event::Data(data) = event {
            sizes.push(data.len());
        }
    };
    reader.feed(b"data: ", &mut on_event).unwrap();
    for _ in 0..(8 << 20) / 64 {
        reader.feed(&[b'x'; 64], &mut on_event).unwrap();
    }
    reader.feed(b"\n\ndata: y\n\n", &mut on_event).unwrap();
    assert_eq!(sizes, [8 << 20, 1]);
    assert!(reader.line.capacity() <= KEPT_BYTES && reader.data.capacity() <= KEPT_BYTES);
}

#[test]
fn debug_shows_no_content() {
    let mut reader = EventReader::new(100);
    reader.feed(b"data: secret\ndata: sec", |_| ()).unwrap();
    assert!(!format!("{reader:?}{:?}", Event::Data(b"secret")).contains("sec"));
    assert!(reader.is_inside_event());
}

#[test]
fn located_events_can_be_cut_out() {
    let stream = b": c\ndata: one\n\ndata: two\r\n\r\ndata: three\n\n";
    for size in 1..stream.len() {
        let mut reader = EventReader::new(100);
        let mut spans = Vec::new();
        for piece in stream.chunks(size) {
            reader
                .feed_located(piece, |event, span| {
                    if matches!(event, Event::Data(_)) {
                        spans.push(span);
                    }
                })
                .unwrap();
        }
        let texts: Vec<&[u8]> =
            spans.iter().map(|span| &stream[span.start as usize..span.end as usize]).collect();
        let expected: [&[u8]; 3] = [b": c\ndata: one\n\n", b"data: two\r\n\r", b"data: three\n\n"];
        assert_eq!(texts, expected, "pieces of {size}");
    }
}

#[test]
fn writers() {
    let mut out = Vec::new();
    write_data(&mut out, b"{}");
    write_data(&mut out, b"a\r\nb\rc\n");
    write_comment(&mut out, "ping");
    write_named(&mut out, "er\nror", b"x");
    write_done(&mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "data: {}\n\ndata: a\ndata: b\ndata: c\ndata: \n\n: ping\n\nevent: error\ndata: x\n\ndata: [DONE]\n\n"
    );
}

/// Bytes that are mostly the ones that matter.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"data:".to_vec()),
        Just(b"data: ".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n\n".to_vec()),
        Just(b":".to_vec()),
        Just(b"event: e".to_vec()),
        Just(b"{\"a\":1}".to_vec()),
        Just("\u{feff}".as_bytes().to_vec()),
        Just(b"x".to_vec()),
        Just(vec![b'y'; 70]),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// However a stream is cut, the same events come out.
    #[test]
    fn any_split_gives_the_same_events(stream in streams(), cuts in proptest::collection::vec(0_usize..400, 0..12)) {
        let whole = read(&[&stream]);
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= stream.len()).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(&read(&pieces), &whole);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&read(&bytes), &whole);
    }

    /// What the writers write is what the reader reads.
    #[test]
    fn writers_and_reader_agree(texts in proptest::collection::vec("[a-z\\n ]{0,12}", 0..6)) {
        let mut out = Vec::new();
        for text in &texts {
            write_data(&mut out, text.as_bytes());
            write_comment(&mut out, "still here");
        }
        let seen: Vec<Seen> = read(&[&out]).into_iter().filter(|event| matches!(event, Seen::Data(_))).collect();
        let expected: Vec<Seen> = texts.iter().map(|text| data(text)).collect();
        prop_assert_eq!(seen, expected);
    }
}
