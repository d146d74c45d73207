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
//! Whoever waits takes the lock of `line` and keeps it until it has a slot. Who takes without waiting needs that lock,
//! too, and so stands back. Directories on network file systems work where their locks do.

use super::{
    AccountTag, Coordination, CoordinationError, GiveBack, Holder, Line, Seat, Seats, Slot, Slots,
};
use parking_lot::Mutex;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest note of a holder that is read.
const NOTE_LIMIT_BYTES: usize = 512;

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
    line: File,
    slots: Vec<File>,
    /// Which slots this process holds: a second lock through one descriptor would succeed.
    held: Vec<bool>,
}

struct MachineLine {
    account: Arc<Account>,
    line: File,
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
            line: open(&directory.join("line"))?,
            slots: (0..slots)
                .map(|number| open(&slot_path(&directory, number)))
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
        if !account.lock_current(&mut files.line, "line")? {
            return Ok(None);
        }
        let taken = account.take_free(&mut files);
        account.unlock(&files.line, "line")?;
        Ok(taken?.map(|number| account.slot(number)))
    }

    fn line(&self) -> Result<Box<dyn Line>, CoordinationError> {
        // An own open file: the locks of one descriptor do not exclude each other.
        let line = open(&self.shared.directory.join("line"))?;
        Ok(Box::new(MachineLine { account: Arc::clone(&self.shared), line, is_first: false }))
    }

    fn seats(&self) -> Result<Seats, CoordinationError> {
        let account = &self.shared;
        let slots = account.files.lock().slots.len();
        let seats = (0..slots).map(|number| account.seat(&account.slot_name(number)));
        let seats = seats.collect::<Result<_, _>>()?;
        Ok(Seats { seats, awaited: account.seat("line")? != Seat::Free })
    }
}

impl Line for MachineLine {
    fn advance(&mut self) -> Result<Option<Slot>, CoordinationError> {
        if !self.is_first {
            self.is_first = self.account.lock_current(&mut self.line, "line")?;
        }
        if !self.is_first {
            return Ok(None);
        }
        let mut files = self.account.files.lock();
        let Some(number) = self.account.take_free(&mut files)? else { return Ok(None) };
        self.is_first = false;
        self.account.unlock(&self.line, "line")?;
        Ok(Some(self.account.slot(number)))
    }
}

// === impl Account ===

impl Account {
    fn slot(self: &Arc<Self>, number: usize) -> Slot {
        Slot { owner: Arc::clone(self) as Arc<dyn GiveBack>, number }
    }

    fn slot_name(&self, number: usize) -> String {
        format!("slot-{number}")
    }

    /// Locks a free slot. The caller has the lock of the line.
    fn take_free(&self, files: &mut Files) -> Result<Option<usize>, CoordinationError> {
        for number in 0..files.slots.len() {
            if files.held[number] {
                continue;
            }
            let name = self.slot_name(number);
            if self.lock_current(&mut files.slots[number], &name)? {
                files.held[number] = true;
                self.leave_note(&files.slots[number]);
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Locks a file that everybody else would open, too: one that was deleted meanwhile is opened anew.
    fn lock_current(&self, file: &mut File, name: &str) -> Result<bool, CoordinationError> {
        let path = || self.directory.join(name);
        loop {
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(false),
                Err(TryLockError::Error(error)) => return Err(problem(&path(), error)),
            }
            let metadata = file.metadata().map_err(|error| problem(&path(), error))?;
            if metadata.nlink() > 0 {
                return Ok(true);
            }
            make_directory(&self.directory)?;
            *file = open(&path())?;
        }
    }

    fn unlock(&self, file: &File, name: &str) -> Result<(), CoordinationError> {
        file.unlock().map_err(|error| problem(&self.directory.join(name), error))
    }

    /// Writes down who holds the slot, unless that stands there already. That nobody can write costs only the note.
    fn leave_note(&self, file: &File) {
        let mut found = [0; NOTE_LIMIT_BYTES];
        let length = file.read_at(&mut found, 0).unwrap_or(0);
        if found[..length] != self.note[..] {
            let written = file.set_len(0).and_then(|()| file.write_all_at(&self.note, 0));
            if let Err(error) = written {
                tracing::debug!(%error, "note of a slot");
            }
        }
    }

    /// Whether a file is locked, asked with a shared lock. Someone who tries to lock it in this very moment finds it taken
    /// and asks again a moment later.
    fn seat(&self, name: &str) -> Result<Seat, CoordinationError> {
        let path = self.directory.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Seat::Free),
            Err(error) => return Err(problem(&path, error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Seat::Free),
            Err(TryLockError::WouldBlock) => {
                let mut note = [0; NOTE_LIMIT_BYTES];
                let length = file.read_at(&mut note, 0).unwrap_or(0);
                Ok(Seat::Held(serde_json::from_slice(&note[..length]).ok()))
            }
            Err(TryLockError::Error(error)) => Err(problem(&path, error)),
        }
    }
}

impl GiveBack for Account {
    fn give_back(&self, number: usize) {
        let mut files = self.files.lock();
        if let Err(error) = files.slots[number].unlock() {
            // The descriptor is ours and open; this cannot be, and closing it frees the lock all the same.
            tracing::warn!(%error, "a slot could not be given back");
            if let Ok(file) = open(&self.directory.join(self.slot_name(number))) {
                files.slots[number] = file;
            }
        }
        files.held[number] = false;
    }
}

fn slot_path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("slot-{number}"))
}

fn make_directory(directory: &Path) -> Result<(), CoordinationError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| problem(directory, error))
}

fn open(path: &Path) -> Result<File, CoordinationError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| problem(path, error))
}

fn problem(path: &Path, error: std::io::Error) -> CoordinationError {
    CoordinationError::File { path: path.to_owned(), error }
}
