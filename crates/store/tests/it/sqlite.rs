//! What only a file can get wrong: its place, its format, other programs, a full disk.

use std::time::Duration;

use ripcord_store::{Ledger, LedgerError, OpenError, ProblemKind, Row, SqliteLedger, StepKind};
use rusqlite::Connection;

use crate::world::{Place, append_all, attempt, request, step};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn rows_survive_the_ledger() {
    let place = Place::new();
    let ledger = place.open();
    ledger.append(Row::Request(request("r1", 1_000)));
    drop(ledger);
    let ledger = place.open();
    assert!(ledger.request("r1").unwrap().is_some());
    assert_eq!(ledger.health().rows_kept, 0);
}

#[test]
fn a_row_is_written_without_a_flush() {
    let place = Place::new();
    let ledger = place.open();
    ledger.append(Row::Request(request("r1", 1_000)));
    let other = place.open();
    while other.request("r1").unwrap().is_none() {
        std::thread::yield_now();
    }
}

#[test]
fn two_ledgers_write_one_file() {
    let place = Place::new();
    let (one, other) = (place.open(), place.open());
    for number in 0..50 {
        one.append(Row::Request(request(&format!("one-{number}"), 1_000)));
        other.append(Row::Request(request(&format!("other-{number}"), 1_000)));
        one.append(Row::Attempt(attempt("shared", number, 1_000)));
        other.append(Row::Attempt(attempt("shared", number, 1_000)));
    }
    one.flush(PATIENCE).unwrap();
    other.flush(PATIENCE).unwrap();
    assert_eq!(one.recent_requests(usize::MAX).unwrap().len(), 100);
    assert_eq!(other.totals_since(0).unwrap()[0].attempts, 50);
}

#[test]
fn programs_that_start_at_once_agree_on_one_file() {
    for _ in 0..20 {
        let place = Place::new();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let place = &place;
                scope.spawn(move || {
                    place.open().append(Row::Request(request(&format!("r{number}"), number)));
                });
            }
        });
        assert_eq!(place.open().recent_requests(usize::MAX).unwrap().len(), 8);
    }
}

#[test]
#[cfg(unix)]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let ledger = place.open();
    ledger.append(Row::Request(request("r1", 1_000)));
    ledger.flush(PATIENCE).unwrap();
    assert_eq!(mode(place.path.parent().unwrap()), 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(place.path.parent().unwrap()).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
        files += 1;
    }
    assert!(files >= 2, "the file and SQLite's side files");
    drop(ledger);

    std::fs::set_permissions(&place.path, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(place.open());
    assert_eq!(mode(&place.path), 0o600);
}

#[test]
fn a_newer_file_is_refused_and_left_alone() {
    let place = Place::new();
    drop(place.open());
    let newer = Connection::open(&place.path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    newer.execute_batch("CREATE TABLE from_the_future (column_one)").unwrap();
    let error = SqliteLedger::open(&place.path).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, known: 4, .. }));
    assert_eq!(
        error.to_string().replace(&place.path.display().to_string(), "PATH"),
        "the ledger `PATH` was written by a newer ripcord (format 99, this one knows 4): upgrade ripcord, or name another \
         state directory"
    );
    let version: u32 = newer.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
}

/// As a release before client keys and stories made it, with the rows that were written then.
#[test]
fn an_older_file_is_brought_up_to_date_and_keeps_its_rows() {
    let place = Place::new();
    std::fs::create_dir(place.path.parent().unwrap()).unwrap();
    let older = Connection::open(&place.path).unwrap();
    older.execute_batch(include_str!("../../../../migrations/sqlite/0001_ledger.sql")).unwrap();
    older
        .execute_batch(
            "INSERT INTO requests (request_id, route, is_stream, outcome, attempt_count, tokens_estimated, started_at_us, \
             waited_us, total_us) VALUES ('r1', 'chat/completions', 1, 'completed', 1, 0, 1000, 5, 9); \
             INSERT INTO attempts (request_id, number, outcome, tokens_estimated, started_at_us, waited_us, total_us) \
             VALUES ('r1', 1, 'completed', 0, 1000, 0, 4); \
             PRAGMA user_version = 1",
        )
        .unwrap();
    drop(older);
    let ledger = place.open();
    let story = ledger.request("r1").unwrap().unwrap();
    let told = story.request.unwrap();
    assert_eq!((told.timing.total_us, told.priority, told.deadline_us), (9, None, None));
    assert_eq!((story.attempts.len(), story.steps.len()), (1, 0));
    ledger.append(Row::Step(step("r1", 1, StepKind::Waited)));
    ledger.append(Row::Request(request("r2", 2_000)));
    ledger.flush(PATIENCE).unwrap();
    assert_eq!(ledger.request("r1").unwrap().unwrap().steps.len(), 1);
    assert_eq!(ledger.request("r2").unwrap().unwrap().request, Some(request("r2", 2_000)));
}

#[test]
fn another_kind_of_file_is_refused_and_left_alone() {
    let place = Place::new();
    std::fs::create_dir(place.path.parent().unwrap()).unwrap();
    let text = "a note, and no database\n".repeat(100);
    std::fs::write(&place.path, &text).unwrap();
    let error = SqliteLedger::open(&place.path).unwrap_err();
    assert!(
        matches!(&error, OpenError::Unusable { problem, .. } if problem.kind == ProblemKind::Damaged),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&place.path).unwrap(), text);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let place = Place::new();
    let file = place.directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = SqliteLedger::open(&file.join("ledger.sqlite")).unwrap_err();
    assert!(matches!(error, OpenError::Directory { .. }), "{error}");
    assert!(error.to_string().contains("/file`"));

    let error = SqliteLedger::open(place.directory.path()).unwrap_err();
    assert!(matches!(error, OpenError::File { .. }), "{error}");
}

#[test]
#[cfg(unix)]
fn a_read_only_directory_is_named() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    std::fs::set_permissions(place.directory.path(), std::fs::Permissions::from_mode(0o500))
        .unwrap();
    if std::fs::write(place.directory.path().join("probe"), "").is_ok() {
        return; // The superuser writes anyway.
    }
    let error = SqliteLedger::open(&place.path).unwrap_err();
    assert!(matches!(error, OpenError::Directory { .. }), "{error}");
    let error = SqliteLedger::open(&place.directory.path().join("ledger.sqlite")).unwrap_err();
    assert!(matches!(error, OpenError::File { .. }), "{error}");
}

#[test]
fn a_locked_file_delays_rows_and_the_overflow_is_counted() {
    let place = Place::new();
    let ledger = SqliteLedger::open_with_capacity(&place.path, 10).unwrap();
    let other_program = Connection::open(&place.path).unwrap();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
    append_all(&ledger, (0..13).map(|n| Row::Request(request(&format!("r{n}"), n))));

    let problem = loop {
        match ledger.flush(Duration::from_millis(20)) {
            Err(LedgerError::NotFlushed { rows_queued: 10, problem: Some(problem) }) => {
                break problem;
            }
            Err(LedgerError::NotFlushed { rows_queued: 10, problem: None }) => {}
            unexpected => panic!("{unexpected:?}"),
        }
    };
    assert_eq!(problem.kind, ProblemKind::Locked);
    let health = ledger.health();
    assert_eq!((health.rows_queued, health.rows_kept, health.rows_lost), (10, 0, 3));
    assert!(!health.is_writing());
    assert_eq!(ledger.recent_requests(10).unwrap(), [], "reading goes on");

    other_program.execute_batch("COMMIT").unwrap();
    ledger.flush(PATIENCE).unwrap();
    let health = ledger.health();
    assert_eq!((health.rows_queued, health.rows_kept, health.rows_lost), (0, 10, 3));
    assert!(health.is_writing());
    assert_eq!(ledger.recent_requests(100).unwrap().len(), 10);
}

#[test]
fn a_ledger_that_cannot_write_still_ends() {
    let place = Place::new();
    let ledger = place.open();
    let other_program = Connection::open(&place.path).unwrap();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
    ledger.append(Row::Request(request("r1", 1_000)));
    drop(ledger);
    other_program.execute_batch("COMMIT").unwrap();
    assert_eq!(place.open().request("r1").unwrap(), None);
}
