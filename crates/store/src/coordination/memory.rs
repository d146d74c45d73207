//! Slots of one process, for tests and for the demonstration.

use super::{
    AccountTag, Coordination, CoordinationError, GiveBack, Holder, Line, Seat, Seats, Slot, Slots,
};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Slots that nobody outside this value shares.
#[derive(Debug, Default)]
pub struct MemoryCoordination {
    accounts: Mutex<HashMap<AccountTag, Arc<Mutex<Account>>>>,
    holder: Option<Holder>,
}

#[derive(Debug, Default)]
struct Account {
    held: Vec<bool>,
    line: VecDeque<Place>,
    next_place: u64,
}

#[derive(Debug)]
struct Place {
    number: u64,
    /// How many slots whoever stands there knows.
    slots: usize,
}

#[derive(Debug)]
struct MemorySlots {
    account: Arc<Mutex<Account>>,
    slots: usize,
    holder: Option<Holder>,
}

struct MemoryLine {
    account: Arc<Mutex<Account>>,
    slots: usize,
    place: u64,
}

// === impl MemoryCoordination ===

impl MemoryCoordination {
    /// Slots that `holder` takes, as [`Slots::seats`] says.
    #[must_use]
    pub fn new(holder: Holder) -> Self {
        Self { holder: Some(holder), ..Self::default() }
    }
}

impl Coordination for MemoryCoordination {
    fn slots(&self, account: &AccountTag, slots: u32) -> Result<Arc<dyn Slots>, CoordinationError> {
        let account = Arc::clone(self.accounts.lock().entry(account.clone()).or_default());
        let slots = slots as usize;
        {
            let mut known = account.lock();
            let wanted = known.held.len().max(slots);
            known.held.resize(wanted, false);
        }
        Ok(Arc::new(MemorySlots { account, slots, holder: self.holder.clone() }))
    }
}

// === impl MemorySlots ===

impl Slots for MemorySlots {
    fn try_take(&self) -> Result<Option<Slot>, CoordinationError> {
        let mut account = self.account.lock();
        let place = account.next_place;
        Ok(take_free(&mut account, &self.account, self.slots, place))
    }

    fn line(&self) -> Result<Box<dyn Line>, CoordinationError> {
        let mut account = self.account.lock();
        let place = account.next_place;
        account.next_place += 1;
        account.line.push_back(Place { number: place, slots: self.slots });
        Ok(Box::new(MemoryLine { account: Arc::clone(&self.account), slots: self.slots, place }))
    }

    fn seats(&self) -> Result<Seats, CoordinationError> {
        let account = self.account.lock();
        let seats = account.held.iter().map(|held| match held {
            true => Seat::Held(self.holder.clone()),
            false => Seat::Free,
        });
        Ok(Seats { seats: seats.collect(), awaited: !account.line.is_empty() })
    }
}

impl Line for MemoryLine {
    fn advance(&mut self) -> Result<Option<Slot>, CoordinationError> {
        let mut account = self.account.lock();
        let slot = take_free(&mut account, &self.account, self.slots, self.place);
        if slot.is_some() {
            account.leave(self.place);
        }
        Ok(slot)
    }
}

impl Drop for MemoryLine {
    fn drop(&mut self) {
        self.account.lock().leave(self.place);
    }
}

impl GiveBack for Mutex<Account> {
    fn give_back(&self, number: usize) {
        if let Some(held) = self.lock().held.get_mut(number) {
            *held = false;
        }
    }
}

impl Account {
    fn leave(&mut self, number: u64) {
        self.line.retain(|place| place.number != number);
    }
}

/// Takes a free slot that nobody before this place can use.
fn take_free(
    account: &mut Account,
    owner: &Arc<Mutex<Account>>,
    slots: usize,
    place: u64,
) -> Option<Slot> {
    let before = account.line.iter().take_while(|other| other.number < place);
    let first = before.map(|other| other.slots).max().unwrap_or(0);
    let number = (first..slots).find(|&number| !account.held[number])?;
    account.held[number] = true;
    Some(Slot { owner: Arc::clone(owner) as Arc<dyn GiveBack>, number })
}
