//! Logs written and read back: splitting, rotation, tail, since, following, crashes.

use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use jsonlog::{Follow, LONGEST, Options, Query, Record, Stream, Writer, read};

/// A directory that goes away with its test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("jsonlog-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("c-json.log")
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(path: &Path, query: &Query) -> String {
    let mut out = Vec::new();
    let mut sink = |record: &Record<'_>| {
        out.extend_from_slice(record.log);
        ControlFlow::Continue(())
    };
    read(path, query, None, &mut sink).unwrap();
    String::from_utf8(out).unwrap()
}

fn all(path: &Path) -> String {
    text(path, &Query::default())
}

fn write_lines(writer: &mut Writer, lines: std::ops::Range<u32>) {
    for line in lines {
        writer.write(Stream::Stdout, format!("line {line}\n").as_bytes()).unwrap();
    }
}

fn lines(range: std::ops::Range<u32>) -> String {
    range.map(|line| format!("line {line}\n")).collect()
}

#[test]
fn a_record_is_spelled_like_dockers() {
    let place = Place::new("spelling");
    let attributes = [("b".to_owned(), "\"x\"".to_owned()), ("a".to_owned(), "1".to_owned())].into();
    let mut writer = Writer::open(&place.log(), Options { attributes, ..Options::default() }).unwrap();
    writer.write(Stream::Stderr, b"<hi>\n").unwrap();
    writer.close().unwrap();
    let file = fs::read_to_string(place.log()).unwrap();
    let head = r#"{"log":"\u003chi\u003e\n","stream":"stderr","attrs":{"a":"1","b":"\"x\""},"time":"20"#;
    assert!(file.starts_with(head), "{file}");
    assert!(file.ends_with("Z\"}\n"), "{file}");
}

#[test]
fn lines_come_together_and_long_ones_are_split() {
    let place = Place::new("split");
    let mut writer = Writer::open(&place.log(), Options::default()).unwrap();
    writer.write(Stream::Stdout, b"one ").unwrap();
    writer.write(Stream::Stderr, b"other\n").unwrap();
    assert_eq!(all(&place.log()), "other\n");
    writer.write(Stream::Stdout, b"line\ntwo\nbegun").unwrap();
    assert_eq!(all(&place.log()), "other\none line\ntwo\n");
    let long = "x".repeat(LONGEST * 2 + 7 - 5);
    writer.write(Stream::Stdout, long.as_bytes()).unwrap();
    writer.close().unwrap();
    let mut sizes = Vec::new();
    let mut sink = |record: &Record<'_>| {
        sizes.push(record.log.len());
        ControlFlow::Continue(())
    };
    read(&place.log(), &Query::default(), None, &mut sink).unwrap();
    assert_eq!(sizes, [6, 9, 4, LONGEST, LONGEST, 7]);
}

#[test]
fn characters_are_not_cut() {
    let place = Place::new("characters");
    let mut writer = Writer::open(&place.log(), Options::default()).unwrap();
    let mut long = "x".repeat(LONGEST - 1);
    long.push_str("\u{20ac}uro\n");
    // By single bytes too, as a slow writer gives them.
    writer.write(Stream::Stdout, long.as_bytes()).unwrap();
    for byte in long.as_bytes() {
        writer.write(Stream::Stderr, &[*byte]).unwrap();
    }
    writer.close().unwrap();
    assert_eq!(all(&place.log()), format!("{long}{long}"));
}

#[test]
fn rotation_keeps_so_many_files() {
    for compress in [false, true] {
        let place = Place::new(&format!("rotation-{compress}"));
        let options = Options { max_size: 1000, max_files: 3, compress, ..Options::default() };
        let mut writer = Writer::open(&place.log(), options).unwrap();
        write_lines(&mut writer, 0..100);
        writer.close().unwrap();
        let end = if compress { ".gz" } else { "" };
        assert_eq!(
            place.names(),
            ["c-json.log".to_owned(), format!("c-json.log.1{end}"), format!("c-json.log.2{end}")]
        );
        let kept = all(&place.log());
        assert!(kept.ends_with("line 99\n") && kept.lines().count() > 20, "{kept}");
        assert!(lines(0..100).ends_with(&kept), "{kept}");
        for count in [0, 1, 5, 14, 20, 1000] {
            let tail = text(&place.log(), &Query { tail: Some(count), ..Query::default() });
            let wanted = kept.lines().count().min(usize::try_from(count).unwrap());
            assert_eq!(tail.lines().count(), wanted, "{count}");
            assert!(kept.ends_with(&tail));
        }
    }
}

#[test]
fn one_file_is_begun_anew() {
    let place = Place::new("one");
    let mut writer =
        Writer::open(&place.log(), Options { max_size: 500, max_files: 1, ..Options::default() }).unwrap();
    write_lines(&mut writer, 0..50);
    writer.close().unwrap();
    assert_eq!(place.names(), ["c-json.log"]);
    assert!(fs::metadata(place.log()).unwrap().len() < 700);
    assert!(all(&place.log()).ends_with("line 49\n"));
}

#[test]
fn a_torn_line_is_passed_over() {
    let place = Place::new("torn");
    let mut writer = Writer::open(&place.log(), Options::default()).unwrap();
    write_lines(&mut writer, 0..3);
    writer.close().unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(place.log()).unwrap();
    file.write_all(br#"{"log":"half a li"#).unwrap();
    assert_eq!(all(&place.log()), lines(0..3));
    assert_eq!(text(&place.log(), &Query { tail: Some(2), ..Query::default() }), lines(1..3));
    let mut writer = Writer::open(&place.log(), Options::default()).unwrap();
    write_lines(&mut writer, 3..5);
    writer.close().unwrap();
    assert_eq!(all(&place.log()), lines(0..5));
}

#[test]
fn a_full_disk_leaves_whole_records() {
    let place = Place::new("full");
    std::os::unix::fs::symlink("/dev/full", place.log()).unwrap();
    let mut writer = Writer::open(&place.log(), Options::default()).unwrap();
    let error = writer.write(Stream::Stdout, b"lost\n").unwrap_err();
    assert!(model::error::chain(&error).contains("No space left on device"), "{error:?}");
}

#[test]
fn since_and_until_select_by_time() {
    let place = Place::new("since");
    let mut file = fs::File::create(place.log()).unwrap();
    for second in 0..20_000 {
        let time = format!("2024-01-01T{:02}:{:02}:{:02}.5Z", second / 3600, second / 60 % 60, second % 60);
        writeln!(file, r#"{{"log":"line {second}\n","stream":"stdout","time":"{time}"}}"#).unwrap();
    }
    let start = 1_704_067_200i64;
    let at = |second: i64| Some((start + second) * 1_000_000_000);
    for (since, until, expected) in [
        (at(0), None, 0..20_000),
        (at(1), None, 1..20_000),
        (at(9_999), at(10_005), 9_999..10_005),
        (at(19_999), None, 19_999..20_000),
        (at(20_001), None, 20_000..20_000),
        (None, at(3), 0..3),
    ] {
        let query = Query { since, until, ..Query::default() };
        assert_eq!(text(&place.log(), &query), lines(expected.clone()), "{expected:?}");
    }
    let both = Query { since: at(19_998), tail: Some(5), ..Query::default() };
    assert_eq!(text(&place.log(), &both), lines(19_998..20_000));
}

#[test]
fn streams_are_told_apart() {
    let place = Place::new("streams");
    let mut writer = Writer::open(&place.log(), Options::default()).unwrap();
    writer.write(Stream::Stdout, b"out\n").unwrap();
    writer.write(Stream::Stderr, b"err\n").unwrap();
    writer.close().unwrap();
    assert_eq!(text(&place.log(), &Query { stderr: false, ..Query::default() }), "out\n");
    assert_eq!(text(&place.log(), &Query { stdout: false, ..Query::default() }), "err\n");
    // The tail counts both.
    assert_eq!(text(&place.log(), &Query { stderr: false, tail: Some(1), ..Query::default() }), "");
}

#[test]
fn a_missing_log_is_empty() {
    let place = Place::new("missing");
    assert_eq!(all(&place.log()), "");
}

/// Follows a log from its start while `write` runs, and gives what was read in the end.
fn followed(place: &Place, write: impl FnOnce()) -> String {
    let (ended, end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let path = place.log();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut out = Vec::new();
            let follow = Follow { ended: Some(ended.as_fd()), cancelled: None };
            let mut sink = |record: &Record<'_>| {
                out.extend_from_slice(record.log);
                ControlFlow::Continue(())
            };
            read(&path, &Query::default(), Some(&follow), &mut sink).unwrap();
            String::from_utf8(out).unwrap()
        });
        write();
        drop(end);
        reader.join().unwrap()
    })
}

#[test]
fn following_reads_through_rotations() {
    for compress in [false, true] {
        let place = Place::new(&format!("follow-{compress}"));
        let text = followed(&place, || {
            let options = Options { max_size: 3000, max_files: 40, compress, ..Options::default() };
            let mut writer = Writer::open(&place.log(), options).unwrap();
            for start in 0..50 {
                write_lines(&mut writer, start * 20..start * 20 + 20);
                std::thread::sleep(Duration::from_millis(1));
            }
            writer.close().unwrap();
        });
        assert_eq!(text, lines(0..1000), "compress {compress}");
    }
}

/// What comes after a compressed file may have the inode that file had before: both are other files all the same.
#[test]
fn a_slow_follower_reads_compressed_files_and_those_with_their_inodes() {
    let place = Place::new("slow");
    let (ended, end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let path = place.log();
    let options = Options { max_size: 3000, max_files: 80, compress: true, ..Options::default() };
    let mut writer = Writer::open(&path, options).unwrap();
    let mut inodes = Vec::new();
    let mut write = |range| {
        write_lines(&mut writer, range);
        // Time for the compression, so that its inode is free for the next file.
        std::thread::sleep(Duration::from_millis(4));
        inodes.push(std::os::unix::fs::MetadataExt::ino(&fs::metadata(place.log()).unwrap()));
    };
    write(0..20);
    let text = std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut out = Vec::new();
            let follow = Follow { ended: Some(ended.as_fd()), cancelled: None };
            let mut sink = |record: &Record<'_>| {
                if out.is_empty() {
                    begun.send(()).unwrap();
                    may_go_on.recv().unwrap();
                }
                out.extend_from_slice(record.log);
                ControlFlow::Continue(())
            };
            read(&path, &Query::default(), Some(&follow), &mut sink).unwrap();
            String::from_utf8(out).unwrap()
        });
        has_begun.recv().unwrap();
        (1..50).for_each(|start| write(start * 20..start * 20 + 20));
        go_on.send(()).unwrap();
        drop(end);
        reader.join().unwrap()
    });
    assert_eq!(text, lines(0..1000));
    assert_eq!(all(&place.log()), lines(0..1000));
    let all: std::collections::HashSet<u64> = inodes.iter().copied().collect();
    eprintln!("{} inodes of {} files were new", all.len(), inodes.len());
}

#[test]
fn following_begins_before_the_log_exists_and_ends_with_the_client() {
    let place = Place::new("client");
    let (client, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let (sender, receiver) = mpsc::channel();
    let path = place.log();
    let reader = std::thread::spawn(move || {
        let follow = Follow { ended: None, cancelled: Some(client.as_fd()) };
        let mut sink = |record: &Record<'_>| {
            sender.send(record.log.to_vec()).unwrap();
            ControlFlow::Continue(())
        };
        read(&path, &Query::default(), Some(&follow), &mut sink).unwrap();
    });
    std::thread::sleep(Duration::from_millis(20));
    let mut writer = Writer::open(&place.log(), Options::default()).unwrap();
    writer.write(Stream::Stdout, b"hello\n").unwrap();
    assert_eq!(receiver.recv_timeout(Duration::from_secs(5)).unwrap(), b"hello\n");
    drop(far);
    reader.join().unwrap();
}

#[test]
fn following_ends_at_the_wanted_time() {
    let place = Place::new("until");
    let until = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
        + Duration::from_millis(150);
    let query = Query { until: Some(i64::try_from(until.as_nanos()).unwrap()), ..Query::default() };
    let begun = Instant::now();
    let follow = Follow { ended: None, cancelled: None };
    read(&place.log(), &query, Some(&follow), &mut |_: &Record<'_>| ControlFlow::Continue(())).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(140) && begun.elapsed() < Duration::from_secs(5));
}

/// Not a test of correctness: prints how fast this machine writes and reads (run with `--release --ignored --nocapture`).
#[test]
#[ignore = "a measurement"]
fn speed() {
    let place = Place::new("speed");
    let chunk: Vec<u8> =
        b"The quick brown fox jumps over the lazy dog, and then it does so again and again.\n".repeat(800);
    let rounds = 200_000_000 / chunk.len();
    let begun = Instant::now();
    let mut writer = Writer::open(&place.log(), Options::default()).unwrap();
    for _ in 0..rounds {
        writer.write(Stream::Stdout, &chunk).unwrap();
    }
    writer.close().unwrap();
    let megabytes = (rounds * chunk.len()) as f64 / 1e6;
    println!("write {:.0} MB/s", megabytes / begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let mut total = 0usize;
    let mut sink = |record: &Record<'_>| {
        total += record.log.len();
        ControlFlow::Continue(())
    };
    read(&place.log(), &Query::default(), None, &mut sink).unwrap();
    assert_eq!(total, rounds * chunk.len());
    println!("read {:.0} MB/s", megabytes / begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let _ = text(&place.log(), &Query { tail: Some(10), ..Query::default() });
    println!("tail 10 in {:?}", begun.elapsed());
}

fn compact() -> Options {
    Options { format: jsonlog::Format::Compact, ..Options::default() }
}

#[test]
fn the_compact_format_keeps_bytes_as_they_are() {
    let place = Place::new("compact-bytes");
    let mut writer = Writer::open(&place.log(), compact()).unwrap();
    writer.write(Stream::Stdout, b"\xff\x00\"\\\n{\"log\":1}\n\n").unwrap();
    writer.write(Stream::Stderr, "y".repeat(LONGEST + 5).as_bytes()).unwrap();
    writer.close().unwrap();
    let mut seen = Vec::new();
    let mut sink = |record: &Record<'_>| {
        assert!(record.nanoseconds().is_some_and(|time| time > 1_700_000_000_000_000_000), "{}", record.time);
        seen.push((record.stream, record.log.to_vec()));
        ControlFlow::Continue(())
    };
    read(&place.log(), &Query::default(), None, &mut sink).unwrap();
    let expected = [
        (Stream::Stdout, b"\xff\x00\"\\\n".to_vec()),
        (Stream::Stdout, b"{\"log\":1}\n".to_vec()),
        (Stream::Stdout, b"\n".to_vec()),
        (Stream::Stderr, vec![b'y'; LONGEST]),
        (Stream::Stderr, vec![b'y'; 5]),
    ];
    assert_eq!(seen, expected);
    // Fifteen letters and a newline for each record, nothing is escaped.
    let size = expected.iter().map(|(_, text)| text.len() + 15).sum::<usize>() + 2;
    assert_eq!(fs::metadata(place.log()).unwrap().len(), size as u64);
}

#[test]
fn the_compact_format_rotates_and_is_read_in_part() {
    let place = Place::new("compact-rotation");
    let options = Options { max_size: 1000, max_files: 3, compress: true, ..compact() };
    let mut writer = Writer::open(&place.log(), options).unwrap();
    write_lines(&mut writer, 0..100);
    let middle = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    std::thread::sleep(Duration::from_millis(2));
    write_lines(&mut writer, 100..110);
    writer.close().unwrap();
    assert_eq!(place.names(), ["c-json.log", "c-json.log.1.gz", "c-json.log.2.gz"]);
    let kept = all(&place.log());
    assert!(lines(0..110).ends_with(&kept) && kept.lines().count() > 40, "{kept}");
    for count in [0, 1, 14, 40] {
        let tail = text(&place.log(), &Query { tail: Some(count), ..Query::default() });
        assert_eq!(tail, lines(110 - u32::try_from(count).unwrap()..110), "{count}");
    }
    let middle = i64::try_from(middle.as_nanos()).unwrap();
    let since = Query { since: Some(middle), ..Query::default() };
    assert_eq!(text(&place.log(), &since), lines(100..110));
    let until = Query { until: Some(middle), ..Query::default() };
    assert!(text(&place.log(), &until).ends_with("line 99\n"));
}

#[test]
fn the_compact_format_is_followed_and_a_torn_frame_passed_over() {
    let place = Place::new("compact-follow");
    let text = followed(&place, || {
        let options = Options { max_size: 3000, max_files: 40, compress: true, ..compact() };
        let mut writer = Writer::open(&place.log(), options).unwrap();
        for start in 0..20 {
            write_lines(&mut writer, start * 20..start * 20 + 20);
            std::thread::sleep(Duration::from_millis(1));
        }
        writer.close().unwrap();
    });
    assert_eq!(text, lines(0..400));
    let whole = all(&place.log());
    let mut file = fs::OpenOptions::new().append(true).open(place.log()).unwrap();
    file.write_all(b"o1R6b_90FGP0009torn").unwrap();
    assert_eq!(all(&place.log()), whole);
    Writer::open(&place.log(), compact()).unwrap().write(Stream::Stdout, b"more\n").unwrap();
    assert_eq!(all(&place.log()), format!("{whole}more\n"));
}
