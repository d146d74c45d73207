//! The contract of [`Coordination`], on every back end, and what is particular to a machine.
#![expect(clippy::unwrap_used, reason = "a test that fails should fail loudly")]

use ripcord_store::{
    AccountTag, Coordination, Holder, MachineCoordination, MemoryCoordination, Seat, Slots,
};
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

#[test]
fn slots_that_were_deleted_come_back_and_still_exclude() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let machine = MachineCoordination::open(directory.path(), holder()).unwrap();
        machine.slots(&AccountTag::of("alice"), 1).unwrap()
    };
    let old = open();
    drop(old.try_take().unwrap());
    std::fs::remove_dir_all(directory.path().join("slots")).unwrap();
    let new = open();
    let held = old.try_take().unwrap().unwrap();
    assert!(new.try_take().unwrap().is_none(), "both see the same new file");
    drop(held);
    assert!(new.try_take().unwrap().is_some());
}

#[test]
fn files_and_directories_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
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
