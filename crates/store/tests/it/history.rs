//! The file of an account's hours: what only a file can get wrong.

use ripcord_store::{AccountTag, HistoryError, HistoryFile, HourlyUsage, UsageHour};

fn file(directory: &tempfile::TempDir) -> HistoryFile {
    HistoryFile::of(&directory.path().join("state"), &AccountTag::of("somebody"))
}

/// The hours of one program: from this number on, one row each.
fn hours(from: i64, count: i64) -> HourlyUsage {
    let rows = (from..from + count).map(|number| UsageHour {
        hour_unix_seconds: number * 3_600,
        chute_id: Some("c1".to_owned()),
        requests: Some(7),
        prompt_tokens: None,
        completion_tokens: None,
        charged_nano_usd: None,
    });
    HourlyUsage {
        from_unix_seconds: from * 3_600,
        until_unix_seconds: (from + count) * 3_600,
        read_at_unix_seconds: 1_000 * 3_600,
        rows: rows.collect(),
    }
}

#[test]
fn what_is_added_is_there_for_the_next_program() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(file(&directory).load().unwrap(), None);
    assert_eq!(file(&directory).add(hours(10, 5)).unwrap(), hours(10, 5));
    assert_eq!(file(&directory).add(hours(15, 5)).unwrap(), hours(10, 10));
    assert_eq!(file(&directory).load().unwrap(), Some(hours(10, 10)));
    let other = HistoryFile::of(&directory.path().join("state"), &AccountTag::of("other"));
    assert_eq!(other.load().unwrap(), None);
    file(&directory).forget().unwrap();
    file(&directory).forget().unwrap();
    assert_eq!(file(&directory).load().unwrap(), None);
}

#[test]
#[cfg(unix)]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let file = file(&directory);
    file.add(hours(10, 5)).unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(file.path()), 0o600);
    assert_eq!(mode(file.path().parent().unwrap()), 0o700);
    let names: Vec<_> = std::fs::read_dir(file.path().parent().unwrap()).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing is left beside it");
}

#[test]
fn a_damaged_file_is_told_and_written_anew() {
    let directory = tempfile::tempdir().unwrap();
    let file = file(&directory);
    file.add(hours(10, 5)).unwrap();
    let whole = std::fs::read(file.path()).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"", b"\xff\xfe", b"SQLite format 3"] {
        std::fs::write(file.path(), damaged).unwrap();
        let error = file.load().unwrap_err();
        assert!(matches!(error, HistoryError::Damaged { .. }), "{error}");
        assert_eq!(file.add(hours(20, 5)).unwrap(), hours(20, 5));
    }
}

#[test]
fn programs_that_add_at_once_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    file(&directory).add(hours(0, 1)).unwrap();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let file = file(&directory);
            // Each touches what is there from the start, so that no order makes a gap.
            scope.spawn(move || file.add(hours(0, 2 + number)).unwrap());
        }
    });
    assert_eq!(file(&directory).load().unwrap(), Some(hours(0, 9)));
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("state"), "").unwrap();
    let error = file(&directory).add(hours(0, 1)).unwrap_err();
    assert!(error.to_string().contains("state/usage"), "{error}");
}
