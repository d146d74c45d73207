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
    let count = u32::try_from(context.settings.gateway.slots_per_account.value).unwrap_or(u32::MAX);
    let slots = accounts
        .iter()
        .map(|account| Ok((account, machine.slots(&slot_tag(&account.keys), count)?)));
    slots.collect::<Result<_, CoordinationError>>().map_err(unusable)
}

/// Waits for a slot on one of the accounts, and says so if that takes a while. `None` when the time is up.
pub(crate) async fn hold<'a>(
    accounts: &'a [Account],
    purpose: &str,
    timeout: Option<Duration>,
    context: &Context,
) -> Result<Option<Held<'a>>, CommandError> {
    let machine = open(purpose, context)?;
    let slots = of_each(accounts, &machine, context)?;
    let mut lines = slots
        .iter()
        .map(|(account, slots)| Ok((*account, slots.line()?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unusable)?;
    let wait = async {
        tokio::select! {
            held = stand_in(&mut lines) => return held,
            () = tokio::time::sleep(SILENT_FOR) => {}
        }
        tell(&slots, context)?;
        stand_in(&mut lines).await
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

async fn stand_in<'a>(
    lines: &mut [(&'a Account, Box<dyn Line>)],
) -> Result<Held<'a>, CommandError> {
    loop {
        for (account, line) in &mut *lines {
            if let Some(slot) = line.advance().map_err(unusable)? {
                return Ok(Held { account, _slot: slot });
            }
        }
        tokio::time::sleep(LINE_POLL).await;
    }
}

fn tell(slots: &[OwnSlots<'_>], context: &Context) -> Result<(), CommandError> {
    let mut busy = Vec::new();
    for (account, slots) in slots {
        let seats = slots.seats().map_err(unusable)?;
        let mut holders: Vec<String> = seats.seats.iter().filter_map(holder).collect();
        holders.dedup();
        let held = number::grouped(u64::try_from(seats.held()).unwrap_or(u64::MAX));
        busy.push(format!(
            "{}: {held} of {} held, by {}",
            account.label(),
            seats.seats.len(),
            if holders.is_empty() { "nobody".to_owned() } else { holders.join(", ") }
        ));
    }
    context.printer.warn(&format!("waiting for a slot ({})", busy.join("; ")));
    Ok(())
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

/// A place for slots that cannot be used.
pub(crate) fn unusable(error: CoordinationError) -> CommandError {
    CommandError::usage(format!("slots of this machine: {error}")).hint(format!(
        "they are kept in `gateway.state_directory`, by default below {}",
        variables::XDG_STATE_HOME
    ))
}
