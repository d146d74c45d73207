//! The contract of [`Coordination`], on every back end, and what is particular to a machine.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that fails should fail loudly, and has its thread to itself"
)]

use ripcord_store::{
    AccountTag, Coordination, Holder, LINE_POLL, Line, MachineCoordination, MemoryCoordination,
    Seat, Slot, Slots,
};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) fn holder() -> Holder {
    Holder {
        pid: std::process::id(),
        purpose: "test".to_owned(),
        since_unix_seconds: 1_790_000_000,
    }
}

/// Runs the scenario on each back end. `open` gives another view of the same shared slots, as another program has it.
fn on_every_back_end(scenario: impl Fn(&dyn Fn(u32) -> Arc<dyn Slots>)) {
    let account = AccountTag::of("alice");
    let memory = MemoryCoordination::new(holder());
    scenario(&|slots| memory.slots(&account, slots).unwrap());
    let directory = tempfile::tempdir().unwrap();
    scenario(&|slots| {
        let machine = MachineCoordination::open(directory.path(), holder()).unwrap();
        machine.slots(&account, slots).unwrap()
    });
}

#[test]
fn no_more_are_held_than_there_are() {
    on_every_back_end(|open| {
        let (here, there) = (open(5), open(5));
        let mut held = Vec::new();
        for number in 0..5 {
            let side = if number % 2 == 0 { &here } else { &there };
            held.push(side.try_take().unwrap().unwrap());
        }
        assert!(here.try_take().unwrap().is_none());
        assert!(there.try_take().unwrap().is_none());
        let mut numbers: Vec<usize> = held.iter().map(ripcord_store::Slot::number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        drop(held.remove(2));
        let again = there.try_take().unwrap().unwrap();
        assert!(here.try_take().unwrap().is_none());
        drop((again, held));
        assert_eq!(open(5).seats().unwrap().held(), 0);
    });
}

#[test]
fn whoever_waits_goes_before_whoever_comes() {
    on_every_back_end(|open| {
        let (here, there) = (open(1), open(1));
        let held = here.try_take().unwrap().unwrap();
        let mut waiting = there.line().unwrap();
        assert!(waiting.advance().unwrap().is_none());
        assert!(here.seats().unwrap().awaited);
        drop(held);
        assert!(here.try_take().unwrap().is_none(), "the slot belongs to whoever waits");
        let slot = waiting.advance().unwrap().unwrap();
        drop(slot);
        // Served, it does not stand in line any more.
        assert!(here.try_take().unwrap().is_some());
        assert!(!here.seats().unwrap().awaited);
    });
}

#[test]
fn whoever_leaves_the_line_holds_nobody_up() {
    on_every_back_end(|open| {
        let (here, there) = (open(1), open(1));
        let held = here.try_take().unwrap().unwrap();
        let mut impatient = there.line().unwrap();
        let mut patient = here.line().unwrap();
        assert!(impatient.advance().unwrap().is_none());
        assert!(patient.advance().unwrap().is_none());
        drop((impatient, held));
        assert!(patient.advance().unwrap().is_some());
    });
}

#[test]
fn the_line_moves_on_when_the_first_is_served() {
    on_every_back_end(|open| {
        let slots = open(2);
        let (mut first, mut second) = (slots.line().unwrap(), slots.line().unwrap());
        let one = first.advance().unwrap().unwrap();
        let two = second.advance().unwrap().unwrap();
        assert_ne!(one.number(), two.number());
    });
}

#[test]
fn programs_with_fewer_slots_use_the_first_ones() {
    on_every_back_end(|open| {
        let (two, four) = (open(2), open(4));
        let held = [two.try_take().unwrap().unwrap(), two.try_take().unwrap().unwrap()];
        assert!(two.try_take().unwrap().is_none());
        let more = [four.try_take().unwrap().unwrap(), four.try_take().unwrap().unwrap()];
        assert!(four.try_take().unwrap().is_none());
        drop(held);
        assert!(two.try_take().unwrap().is_some());
        drop(more);
    });
}

#[test]
fn whoever_is_first_leaves_slots_that_it_does_not_know_to_others() {
    on_every_back_end(|open| {
        let (one, three) = (open(1), open(3));
        let held = three.try_take().unwrap().unwrap();
        assert_eq!(held.number(), 0);
        let mut first = one.line().unwrap();
        assert!(first.advance().unwrap().is_none());
        let at_once = three.try_take().unwrap().unwrap();
        let in_line = three.line().unwrap().advance().unwrap().unwrap();
        assert_eq!((at_once.number(), in_line.number()), (1, 2));
        drop(held);
        assert!(three.try_take().unwrap().is_none(), "that one belongs to whoever is first");
        assert_eq!(first.advance().unwrap().unwrap().number(), 0);
    });
}

#[test]
fn a_look_tells_who_holds_what_and_takes_nothing() {
    on_every_back_end(|open| {
        let slots = open(3);
        let held = slots.try_take().unwrap().unwrap();
        let seats = open(3).seats().unwrap();
        assert_eq!(seats.seats[held.number()], Seat::Held(Some(holder())));
        assert_eq!((seats.held(), seats.awaited), (1, false));
        drop(held);
        assert_eq!(slots.seats().unwrap().held(), 0);
    });
}

#[test]
fn accounts_have_slots_of_their_own_and_tell_nobody_who_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let machine = MachineCoordination::open(directory.path(), holder()).unwrap();
    let (alice, bob) = (AccountTag::of("alice"), AccountTag::of("bob"));
    let held = machine.slots(&alice, 1).unwrap().try_take().unwrap().unwrap();
    assert!(machine.slots(&bob, 2).unwrap().try_take().unwrap().is_some());
    let mut expected = vec![(alice.clone(), 1), (bob, 2)];
    expected.sort();
    assert_eq!(machine.accounts().unwrap(), expected);
    assert!(alice.as_str().len() == 16 && !alice.as_str().contains("alice"));
    drop(held);
}

/// Alice's slots on the machine with this state directory, as another program has them.
fn of_alice(directory: &Path, slots: u32) -> Arc<dyn Slots> {
    let machine = MachineCoordination::open(directory, holder()).unwrap();
    machine.slots(&AccountTag::of("alice"), slots).unwrap()
}

fn directory_of_alice(directory: &Path) -> PathBuf {
    directory.join("slots").join(AccountTag::of("alice").as_str())
}

/// Asks as long as it takes.
fn served(line: &mut dyn Line) -> Slot {
    loop {
        if let Some(slot) = line.advance().unwrap() {
            return slot;
        }
        std::thread::sleep(LINE_POLL);
    }
}

#[test]
fn whoever_is_first_and_shows_no_life_is_passed() {
    let directory = tempfile::tempdir().unwrap();
    let (here, there) = (of_alice(directory.path(), 1), of_alice(directory.path(), 1));
    let held = there.try_take().unwrap().unwrap();
    let mut stopped = here.line().unwrap();
    assert!(stopped.advance().unwrap().is_none());
    drop(held);
    let mut patient = there.line().unwrap();
    let slot = served(&mut *patient);
    // The one that was stopped goes on, and stands behind whoever came meanwhile.
    let mut next = there.line().unwrap();
    assert!(next.advance().unwrap().is_none());
    assert!(stopped.advance().unwrap().is_none());
    drop(slot);
    assert!(stopped.advance().unwrap().is_none());
    drop(next.advance().unwrap().unwrap());
    assert!(stopped.advance().unwrap().is_some());
}

#[test]
fn whoever_takes_without_waiting_passes_somebody_who_shows_no_life_too() {
    let directory = tempfile::tempdir().unwrap();
    let (here, there) = (of_alice(directory.path(), 1), of_alice(directory.path(), 1));
    let held = there.try_take().unwrap().unwrap();
    let mut stopped = here.line().unwrap();
    assert!(stopped.advance().unwrap().is_none());
    drop(held);
    let slot = loop {
        if let Some(slot) = there.try_take().unwrap() {
            break slot;
        }
        std::thread::sleep(LINE_POLL);
    };
    assert!(stopped.advance().unwrap().is_none(), "one slot is one slot");
    drop(slot);
    assert!(stopped.advance().unwrap().is_some());
}

#[test]
fn whoever_is_first_and_asks_is_never_passed() {
    let directory = tempfile::tempdir().unwrap();
    let (here, there) = (of_alice(directory.path(), 1), of_alice(directory.path(), 1));
    let held = there.try_take().unwrap().unwrap();
    let (mut first, mut second) = (here.line().unwrap(), there.line().unwrap());
    // Longer than somebody without life is waited for.
    for _ in 0..150 {
        assert!(first.advance().unwrap().is_none());
        assert!(second.advance().unwrap().is_none());
        std::thread::sleep(LINE_POLL);
    }
    drop(held);
    assert!(second.advance().unwrap().is_none());
    assert!(there.try_take().unwrap().is_none());
    assert!(first.advance().unwrap().is_some());
}

/// Whatever becomes of the files, programs that open them before and after see the same.
#[test]
fn slots_that_were_moved_away_come_back_and_still_exclude() {
    type Happens = fn(&Path);
    let ways: [(&str, Happens); 4] = [
        ("deleted", |directory| std::fs::remove_dir_all(directory.join("slots")).unwrap()),
        ("renamed", |directory| {
            std::fs::rename(directory.join("slots"), directory.join("slots.old")).unwrap();
        }),
        ("renamed, the account alone", |directory| {
            std::fs::rename(directory_of_alice(directory), directory.join("old")).unwrap();
        }),
        ("deleted, with another name left", |directory| {
            let slot = directory_of_alice(directory).join("slot-0");
            std::fs::hard_link(&slot, directory.join("backup")).unwrap();
            std::fs::remove_file(slot).unwrap();
        }),
    ];
    for (way, happens) in ways {
        let directory = tempfile::tempdir().unwrap();
        let old = of_alice(directory.path(), 1);
        let mut in_line = old.line().unwrap();
        drop(old.try_take().unwrap().unwrap());
        happens(directory.path());
        let new = of_alice(directory.path(), 1);
        let held = old.try_take().unwrap().unwrap();
        assert!(new.try_take().unwrap().is_none(), "{way}: both see the same new file");
        drop(held);
        let held = new.try_take().unwrap().unwrap();
        assert!(in_line.advance().unwrap().is_none(), "{way}");
        assert!(new.seats().unwrap().awaited, "{way}: it stands in the new line");
        drop(held);
        assert!(in_line.advance().unwrap().is_some(), "{way}");
    }
}

#[test]
fn what_is_no_plain_file_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(of_alice(directory.path(), 1));
    let slot = directory_of_alice(directory.path()).join("slot-0");
    let reason = |why: &str| {
        let machine = MachineCoordination::open(directory.path(), holder()).unwrap();
        let error = machine.slots(&AccountTag::of("alice"), 1).unwrap_err().to_string();
        assert!(error.contains("slot-0") && error.contains(why), "{error}");
    };
    let precious = directory.path().join("precious");
    std::fs::write(&precious, "precious").unwrap();
    std::fs::remove_file(&slot).unwrap();
    symlink(&precious, &slot).unwrap();
    reason("symbolic link");
    std::fs::remove_file(&slot).unwrap();
    std::process::Command::new("mkfifo").arg(&slot).status().unwrap();
    reason("not a plain file");
    // A file with another name is locked like any other, but not written.
    std::fs::remove_file(&slot).unwrap();
    std::fs::hard_link(&precious, &slot).unwrap();
    let held = of_alice(directory.path(), 1).try_take().unwrap();
    assert!(held.is_some());
    assert_eq!(std::fs::read_to_string(precious).unwrap(), "precious");
}

#[test]
fn a_look_does_not_wait_for_what_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let slots = of_alice(directory.path(), 2);
    let second = directory_of_alice(directory.path()).join("slot-1");
    std::fs::remove_file(&second).unwrap();
    std::process::Command::new("mkfifo").arg(&second).status().unwrap();
    let error = slots.seats().unwrap_err().to_string();
    assert!(error.contains("slot-1"), "{error}");
}

#[test]
fn a_directory_in_which_others_can_write_is_refused() {
    for which in ["slots", "slots/account"] {
        let directory = tempfile::tempdir().unwrap();
        drop(of_alice(directory.path(), 1));
        let open = if which == "slots" {
            directory.path().join(which)
        } else {
            directory_of_alice(directory.path())
        };
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o770)).unwrap();
        let error = MachineCoordination::open(directory.path(), holder())
            .and_then(|machine| machine.slots(&AccountTag::of("alice"), 1).map(drop))
            .unwrap_err();
        assert!(error.to_string().contains("others can write there"), "{error}");
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert!(of_alice(directory.path(), 1).try_take().unwrap().is_some());
    }
}

#[test]
fn files_and_directories_are_for_their_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let machine = MachineCoordination::open(directory.path(), holder()).unwrap();
    let account = AccountTag::of("alice");
    drop(machine.slots(&account, 1).unwrap().try_take().unwrap());
    let mode = |path: &str| {
        let path = directory.path().join("slots").join(path);
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode(account.as_str()), 0o700);
    assert_eq!(mode(&format!("{}/slot-0", account.as_str())), 0o600);
}

#[test]
fn a_place_that_cannot_be_used_is_told_by_name() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("slots"), "a file").unwrap();
    let error = MachineCoordination::open(directory.path(), holder()).unwrap_err();
    assert!(error.to_string().contains("/slots"), "{error}");
}
