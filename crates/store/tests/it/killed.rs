//! Processes that fight for the slots of one account, and are killed.
//!
//! The fighters are this test program itself, started with `fight` below. Each keeps ten threads that take a slot, tell
//! the referee, hold it for a moment, tell the referee, and give it back. The referee is a datagram socket: what reaches
//! it stands in one order, and whoever gives back has told so before another can take.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "processes and threads of their own, which should fail loudly"
)]

use crate::coordination::holder;
use ripcord_store::{AccountTag, Coordination, LINE_POLL, MachineCoordination, Slot, Slots};
use std::collections::HashSet;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const SLOTS: usize = 5;
const THREADS: usize = 10;
const DIRECTORY: &str = "RIPCORD_TEST_FIGHT";

fn slots(directory: &Path) -> Arc<dyn Slots> {
    let machine = MachineCoordination::open(directory, holder()).unwrap();
    machine.slots(&AccountTag::of("alice"), u32::try_from(SLOTS).unwrap()).unwrap()
}

/// One of the fighters, when it is started as such.
#[test]
#[ignore = "a process of the test below"]
fn fight() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let slots = slots(directory);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let slots = Arc::clone(&slots);
            scope.spawn(move || {
                let referee = UnixDatagram::unbound().unwrap();
                referee.connect(directory.join("referee")).unwrap();
                let tell = |what: &str| {
                    let text = format!("{} {thread} {what}", std::process::id());
                    referee.send(text.as_bytes()).unwrap();
                };
                for round in thread.. {
                    let slot = take(&*slots, round);
                    tell("took");
                    std::thread::sleep(Duration::from_micros(200 + (round as u64 * 37) % 900));
                    tell("gives");
                    drop(slot);
                }
            });
        }
    });
}

/// At once or in line, by turns, so that both ways meet.
fn take(slots: &dyn Slots, round: usize) -> Slot {
    if !round.is_multiple_of(3) {
        for _ in 0..3 {
            if let Some(slot) = slots.try_take().unwrap() {
                return slot;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let mut line = slots.line().unwrap();
    loop {
        if let Some(slot) = line.advance().unwrap() {
            return slot;
        }
        std::thread::sleep(LINE_POLL);
    }
}

struct Fighter(Child);

impl Fighter {
    fn start(directory: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "killed::fight"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// `kill -9`, and until nothing is left of it.
    fn kill(&mut self) -> u32 {
        // An error means that it is dead already.
        let _ = self.0.kill();
        self.0.wait().unwrap();
        self.0.id()
    }
}

impl Drop for Fighter {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Counts who holds a slot, by what they say.
struct Referee {
    socket: UnixDatagram,
    holding: HashSet<(u32, usize)>,
    most: usize,
    taken: usize,
}

impl Referee {
    fn at(directory: &Path) -> Self {
        let socket = UnixDatagram::bind(directory.join("referee")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { socket, holding: HashSet::new(), most: 0, taken: 0 }
    }

    /// Listens to this many messages.
    fn hear(&mut self, messages: usize) {
        let mut text = [0; 64];
        for _ in 0..messages {
            let length = self.socket.recv(&mut text).expect("the fighters go on fighting");
            self.note(std::str::from_utf8(&text[..length]).unwrap());
        }
    }

    /// Hears what else was said before a process died. From the kill on others may take what it held, so nothing of it
    /// counts any more.
    fn hear_without(&mut self, dead: u32) {
        self.holding.retain(|(process, _)| *process != dead);
        self.socket.set_nonblocking(true).unwrap();
        let mut text = [0; 64];
        while let Ok(length) = self.socket.recv(&mut text) {
            let message = std::str::from_utf8(&text[..length]).unwrap();
            if !message.starts_with(&format!("{dead} ")) {
                self.note(message);
            }
        }
        self.socket.set_nonblocking(false).unwrap();
    }

    fn note(&mut self, message: &str) {
        let mut words = message.split(' ');
        let who = (words.next().unwrap().parse().unwrap(), words.next().unwrap().parse().unwrap());
        if words.next() == Some("took") {
            assert!(self.holding.insert(who));
            self.taken += 1;
            self.most = self.most.max(self.holding.len());
            assert!(self.holding.len() <= SLOTS, "{:?}", self.holding);
        } else {
            assert!(self.holding.remove(&who));
        }
    }
}

#[test]
fn two_processes_fight_and_one_is_killed_two_hundred_times() {
    let directory = tempfile::tempdir().unwrap();
    let ours = slots(directory.path());
    let mut referee = Referee::at(directory.path());
    let mut fighters = [Fighter::start(directory.path()), Fighter::start(directory.path())];
    for round in 0..200_usize {
        // A kill at a moment that nobody chose: after some more messages, whoever sent them.
        referee.hear(20 + round * 7 % 23);
        let unlucky = round * 31 % 7 % 2;
        referee.hear_without(fighters[unlucky].kill());
        if round % 10 == 9 {
            // Nobody is left: every slot is free at once.
            referee.hear_without(fighters[1 - unlucky].kill());
            let all: Vec<Slot> =
                (0..SLOTS).map(|_| ours.try_take().unwrap().expect("free at once")).collect();
            assert!(ours.try_take().unwrap().is_none());
            drop(all);
            fighters[1 - unlucky] = Fighter::start(directory.path());
        }
        fighters[unlucky] = Fighter::start(directory.path());
    }
    assert_eq!(referee.most, SLOTS, "they did fight for all of them");
    assert!(referee.taken > 1_000, "{}", referee.taken);
}
