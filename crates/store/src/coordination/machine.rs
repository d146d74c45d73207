//! Slots shared by the processes of one machine: kernel file locks.
//!
//! An account has a directory with one file per slot and one for the line:
//!
//! ```text
//! slots/<tag>/slot-0 … slot-4    a slot is held by whoever has the lock on its file
//!             line               its lock is held for a moment by whoever takes a slot, and by whoever is first in line
//! ```
//!
//! The locks are `flock`s of open files. The kernel drops them with the last descriptor, so a process that dies in
//! whatever way gives its slots back, and no file ever has to be cleaned up. What stands in a file tells only people who
//! holds it.
//!
//! Whoever waits takes the lock of `line` and keeps it until it has a slot. Who takes without waiting needs that lock for
//! a moment, too, and so stands back; it may take only slots that the first in line does not know. Whoever holds the line
//! and shows no life is passed (`line.rs`): the line keeps order, the locks of the slots alone keep the number.
//! Directories on network file systems work where their locks do.

mod line;
mod shared_file;

use super::{
    AccountTag, Coordination, CoordinationError, GiveBack, Holder, Line, Seat, Seats, Slot, Slots,
};
use line::{LineFile, Turn};
use parking_lot::Mutex;
use shared_file::{SharedFile, look_at, make_directory, problem, read_note};
use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Slots below a state directory.
#[derive(Debug)]
pub struct MachineCoordination {
    directory: PathBuf,
    holder: Holder,
}

#[derive(Debug)]
struct MachineSlots {
    shared: Arc<Account>,
}

/// One account's directory, opened by one process.
#[derive(Debug)]
struct Account {
    directory: PathBuf,
    /// What this process writes into the slots it takes.
    note: Vec<u8>,
    files: Mutex<Files>,
}

#[derive(Debug)]
struct Files {
    line: LineFile,
    slots: Vec<SharedFile>,
    /// Which slots this process holds: a second lock through one descriptor would succeed.
    held: Vec<bool>,
}

struct MachineLine {
    account: Arc<Account>,
    line: LineFile,
    is_first: bool,
}

// === impl MachineCoordination ===

impl MachineCoordination {
    /// Slots in `slots/` below the state directory, which is made if it is missing, readable by its owner alone.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn open(state_directory: &Path, holder: Holder) -> Result<Self, CoordinationError> {
        let directory = state_directory.join("slots");
        make_directory(&directory)?;
        Ok(Self { directory, holder })
    }

    /// The accounts of which this machine has slots, and the number of slots of each.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn accounts(&self) -> Result<Vec<(AccountTag, u32)>, CoordinationError> {
        let unreadable = |error| problem(&self.directory, error);
        let mut accounts = Vec::new();
        for entry in std::fs::read_dir(&self.directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.len() != 16 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                continue;
            }
            let slots =
                (0..u32::MAX).take_while(|&number| slot_path(&entry.path(), number).exists());
            accounts.push((AccountTag(name), u32::try_from(slots.count()).unwrap_or(u32::MAX)));
        }
        accounts.sort();
        Ok(accounts)
    }
}

impl Coordination for MachineCoordination {
    fn slots(&self, account: &AccountTag, slots: u32) -> Result<Arc<dyn Slots>, CoordinationError> {
        let directory = self.directory.join(account.as_str());
        make_directory(&directory)?;
        let mut note = serde_json::to_vec(&self.holder).unwrap_or_default();
        note.push(b'\n');
        let files = Files {
            line: LineFile::open(line_path(&directory))?,
            slots: (0..slots)
                .map(|number| SharedFile::open(slot_path(&directory, number)))
                .collect::<Result<_, _>>()?,
            held: vec![false; slots as usize],
        };
        let shared = Account { directory, note, files: Mutex::new(files) };
        Ok(Arc::new(MachineSlots { shared: Arc::new(shared) }))
    }
}

// === impl MachineSlots ===

impl Slots for MachineSlots {
    fn try_take(&self) -> Result<Option<Slot>, CoordinationError> {
        let account = &self.shared;
        let mut files = account.files.lock();
        let turn = files.line.try_lock()?;
        let taken = account.take_free(&mut files, turn);
        if turn == Turn::Ours {
            files.line.unlock();
        }
        drop(files);
        Ok(taken?.map(|number| account.slot(number)))
    }

    fn line(&self) -> Result<Box<dyn Line>, CoordinationError> {
        // An own open file: the locks of one descriptor do not exclude each other.
        let line = LineFile::open(line_path(&self.shared.directory))?;
        Ok(Box::new(MachineLine { account: Arc::clone(&self.shared), line, is_first: false }))
    }

    fn seats(&self) -> Result<Seats, CoordinationError> {
        let account = &self.shared;
        let slots = account.files.lock().slots.len();
        let seats = (0..slots).map(|number| seat(&slot_path(&account.directory, number)));
        let seats = seats.collect::<Result<_, _>>()?;
        let awaited = seat(&line_path(&account.directory))? != Seat::Free;
        Ok(Seats { seats, awaited })
    }
}

// === impl MachineLine ===

impl Line for MachineLine {
    fn advance(&mut self) -> Result<Option<Slot>, CoordinationError> {
        if self.is_first && !self.line.is_current()? {
            // We showed no life for too long.
            self.leave();
        }
        let turn = if self.is_first { Turn::Ours } else { self.line.try_lock()? };
        self.is_first = turn == Turn::Ours;
        let mut files = self.account.files.lock();
        match self.account.take_free(&mut files, turn)? {
            Some(number) => {
                drop(files);
                self.leave();
                Ok(Some(self.account.slot(number)))
            }
            None => {
                if self.is_first {
                    self.line.show_life(files.slots.len());
                }
                Ok(None)
            }
        }
    }
}

impl MachineLine {
    /// Told, not by closing the file: a program that is just being started has a copy of the descriptor for a moment.
    fn leave(&mut self) {
        if std::mem::take(&mut self.is_first) {
            self.line.unlock();
        }
    }
}

impl Drop for MachineLine {
    fn drop(&mut self) {
        self.leave();
    }
}

// === impl Account ===

impl Account {
    fn slot(self: &Arc<Self>, number: usize) -> Slot {
        Slot { owner: Arc::clone(self) as Arc<dyn GiveBack>, number }
    }

    /// Locks a free slot of those that it is our turn to take.
    fn take_free(&self, files: &mut Files, turn: Turn) -> Result<Option<usize>, CoordinationError> {
        let first = match turn {
            Turn::Ours => 0,
            Turn::After(slots) => slots,
        };
        for number in first..files.slots.len() {
            if !files.held[number] && files.slots[number].try_lock()? {
                files.held[number] = true;
                files.slots[number].leave_note(&self.note);
                return Ok(Some(number));
            }
        }
        Ok(None)
    }
}

impl GiveBack for Account {
    fn give_back(&self, number: usize) {
        let mut files = self.files.lock();
        files.slots[number].unlock();
        files.held[number] = false;
    }
}

/// Whether a file is locked, asked with a shared lock. Someone who tries to lock it in this very moment finds it taken
/// and asks again a moment later.
fn seat(path: &Path) -> Result<Seat, CoordinationError> {
    let Some(file) = look_at(path)? else { return Ok(Seat::Free) };
    match file.try_lock_shared() {
        Ok(()) => {
            // Told, not by closing the file: a program that is just being started has a copy of it for a moment.
            let _ = file.unlock();
            Ok(Seat::Free)
        }
        Err(TryLockError::WouldBlock) => {
            Ok(Seat::Held(read_note(&file, |note| serde_json::from_slice(note).ok())))
        }
        Err(TryLockError::Error(error)) => Err(problem(path, error)),
    }
}

fn slot_path(directory: &Path, number: impl std::fmt::Display) -> PathBuf {
    directory.join(format!("slot-{number}"))
}

fn line_path(directory: &Path) -> PathBuf {
    directory.join("line")
}
