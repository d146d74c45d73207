//! The slots that Ripcord's programs share on this machine: whoever sends holds one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ripcord_gateway::slot_tag;
use ripcord_store::{
    Coordination as _, CoordinationError, Holder, LINE_POLL, Line, MachineCoordination, Seat, Slot,
    Slots,
};

use crate::accounts::Account;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::number;
use crate::settings::Settings;
use crate::settings::environment::variables;

/// After this long somebody who waits is told what for.
const SILENT_FOR: Duration = Duration::from_secs(1);

/// How long a command waits for the slot of its one call.
const PATIENCE: Duration = Duration::from_secs(60);

/// A slot that is held, and on which of the accounts.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    pub(crate) account: &'a Account,
    /// Gives the slot back when it goes.
    _slot: Slot,
}

/// Where somebody waits for a slot of any of several accounts.
struct Places<'a> {
    /// How many accounts were asked for.
    wanted: usize,
    standing: Vec<Place<'a>>,
    /// Why the last account that cannot be used cannot.
    broken: Option<CoordinationError>,
}

/// A place in the line of one account.
struct Place<'a> {
    account: &'a Account,
    slots: Arc<dyn Slots>,
    line: Box<dyn Line>,
}

/// An account with its slots.
type OwnSlots<'a> = (&'a Account, Arc<dyn Slots>);

/// Where this machine's slots are.
pub(crate) fn open(purpose: &str, context: &Context) -> Result<MachineCoordination, CommandError> {
    let holder = Holder {
        pid: std::process::id(),
        purpose: purpose.to_owned(),
        since_unix_seconds: context.now().as_unix_seconds(),
    };
    MachineCoordination::open(directory(&context.settings)?, holder).map_err(unusable)
}

/// The directory in which Ripcord keeps what it knows.
pub(crate) fn directory(settings: &Settings) -> Result<&Path, CommandError> {
    settings.gateway.state_directory.value.as_deref().ok_or_else(|| {
        CommandError::usage("there is no state directory")
            .hint(format!("set {} or `gateway.state_directory`", variables::XDG_STATE_HOME))
    })
}

/// The slots of each account, as many as are configured.
pub(crate) fn of_each<'a>(
    accounts: &'a [Account],
    machine: &MachineCoordination,
    context: &Context,
) -> Result<Vec<OwnSlots<'a>>, CommandError> {
    let slots = accounts.iter().map(|account| Ok((account, of_one(account, machine, context)?)));
    slots.collect::<Result<_, CoordinationError>>().map_err(unusable)
}

fn of_one(
    account: &Account,
    machine: &MachineCoordination,
    context: &Context,
) -> Result<Arc<dyn Slots>, CoordinationError> {
    let count = u32::try_from(context.settings.gateway.slots_per_account.value).unwrap_or(u32::MAX);
    machine.slots(&slot_tag(&account.keys), count)
}

/// Waits for a slot on one of the accounts, and says so if that takes a while. `None` when the time is up. An account whose
/// slots cannot be used is left out as long as there is another.
pub(crate) async fn hold<'a>(
    accounts: &'a [Account],
    purpose: &str,
    timeout: Option<Duration>,
    context: &Context,
) -> Result<Option<Held<'a>>, CommandError> {
    let machine = open(purpose, context)?;
    let mut places = Places { wanted: accounts.len(), standing: Vec::new(), broken: None };
    for account in accounts {
        let standing = of_one(account, &machine, context).and_then(|slots| {
            let line = slots.line()?;
            Ok(Place { account, slots, line })
        });
        match standing {
            Ok(place) => places.standing.push(place),
            Err(error) => places.miss(account, error, context),
        }
    }
    let wait = async {
        tokio::select! {
            held = places.stand(context) => return held,
            () = tokio::time::sleep(SILENT_FOR) => {}
        }
        places.tell(context);
        places.stand(context).await
    };
    match timeout {
        None => wait.await.map(Some),
        Some(timeout) => tokio::time::timeout(timeout, wait).await.ok().transpose(),
    }
}

/// Waits for the slot that a single call of a command needs. Where slots cannot be shared, the call is made without one.
pub(crate) async fn for_one_call<'a>(
    account: &'a Account,
    purpose: &str,
    context: &Context,
) -> Result<Option<Held<'a>>, CommandError> {
    match hold(std::slice::from_ref(account), purpose, Some(PATIENCE), context).await {
        Ok(Some(held)) => Ok(Some(held)),
        Ok(None) => {
            Err(CommandError::unknown(format!("no slot came free within {} s", PATIENCE.as_secs()))
                .account(account.label())
                .hint("`ripcord slots` shows who holds them"))
        }
        Err(error) => {
            context.printer.warn(&format!("going on without a slot: {error}"));
            Ok(None)
        }
    }
}

// === impl Places ===

impl<'a> Places<'a> {
    /// Asks until a slot is free.
    async fn stand(&mut self, context: &Context) -> Result<Held<'a>, CommandError> {
        while !self.standing.is_empty() {
            let mut index = 0;
            while let Some(place) = self.standing.get_mut(index) {
                match place.line.advance() {
                    Ok(Some(slot)) => return Ok(Held { account: place.account, _slot: slot }),
                    Ok(None) => index += 1,
                    Err(error) => {
                        let account = self.standing.remove(index).account;
                        self.miss(account, error, context);
                    }
                }
            }
            tokio::time::sleep(LINE_POLL).await;
        }
        Err(self
            .broken
            .take()
            .map_or_else(|| CommandError::usage("there is no account to hold a slot of"), unusable))
    }

    /// Goes on without an account. Where it was the only one, the error is the answer and needs no warning.
    fn miss(&mut self, account: &Account, error: CoordinationError, context: &Context) {
        if self.wanted > 1 {
            context.printer.warn(&format!("going on without {}: {error}", account.label()));
        }
        self.broken = Some(error);
    }

    fn tell(&self, context: &Context) {
        let busy: Vec<String> = self.standing.iter().map(Place::told).collect();
        context.printer.warn(&format!("waiting for a slot ({})", busy.join("; ")));
    }
}

// === impl Place ===

impl Place<'_> {
    /// Who holds the slots of the account.
    fn told(&self) -> String {
        let seats = match self.slots.seats() {
            Ok(seats) => seats,
            Err(error) => return format!("{}: {error}", self.account.label()),
        };
        let mut holders: Vec<String> = seats.seats.iter().filter_map(holder).collect();
        holders.dedup();
        let held = number::grouped(u64::try_from(seats.held()).unwrap_or(u64::MAX));
        format!(
            "{}: {held} of {} held, by {}",
            self.account.label(),
            seats.seats.len(),
            if holders.is_empty() { "nobody".to_owned() } else { holders.join(", ") }
        )
    }
}

fn holder(seat: &Seat) -> Option<String> {
    match seat {
        Seat::Free => None,
        Seat::Held(None) => Some("an unknown program".to_owned()),
        Seat::Held(Some(holder)) => Some(format!("{} (pid {})", purpose(holder), holder.pid)),
    }
}

/// What a holder does, in its own words, which stand in a file that others can write.
pub(crate) fn purpose(holder: &Holder) -> String {
    ripcord_wire::text::clean(&holder.purpose, 40)
}

/// That a command was not started, since no slot came free in time.
pub(crate) fn none_within(seconds: u64) -> CommandError {
    let error = CommandError::unknown(format!("no slot came free within {seconds} s"))
        .hint("`ripcord slots` shows who holds them");
    CommandError { exit: Exit::NotStarted, ..error }
}

/// A place for slots that cannot be used.
pub(crate) fn unusable(error: CoordinationError) -> CommandError {
    CommandError::usage(format!("slots of this machine: {error}")).hint(format!(
        "they are kept in `gateway.state_directory`, by default below {}",
        variables::XDG_STATE_HOME
    ))
}
