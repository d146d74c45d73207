//! `ripcord slots`: who holds the slots of this machine.

use std::collections::BTreeSet;

use ripcord_gateway::slot_tag;
use ripcord_rules::time::Wall;
use ripcord_store::{Coordination as _, Seat, Seats};
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::table::{Column, Table};
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment};
use crate::slots;

/// What `ripcord slots --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SlotsReport {
    #[schemars(extend("const" = "ripcord/slots/1"))]
    schema: &'static str,
    /// When the report was made, UTC.
    generated_at: String,
    /// The configured accounts, then others that were used on this machine.
    accounts: Vec<AccountSlots>,
}

/// The slots of one account.
#[derive(Debug, Serialize, JsonSchema)]
struct AccountSlots {
    /// What it is called; null for an account that is not configured here.
    account: Option<String>,
    /// By which programs of this machine know the account: a digest of its id.
    tag: String,
    /// How many slots there are.
    slots: usize,
    /// How many are held.
    held: usize,
    /// Whether a program waits for one.
    awaited: bool,
    /// Who holds them.
    holders: Vec<HolderReport>,
}

/// One slot that is held.
#[derive(Debug, Serialize, JsonSchema)]
struct HolderReport {
    /// The number of the slot, from 0.
    slot: usize,
    /// The process; null if it did not say.
    pid: Option<u32>,
    /// What it does, such as `serve`; null if it did not say.
    purpose: Option<String>,
    /// Since when the process has used slots, UTC; null if it did not say.
    since: Option<String>,
}

/// Looks at every slot. Takes none.
pub(crate) fn run(context: &Context) -> Result<Exit, CommandError> {
    let machine = slots::open("slots", context)?;
    // Without a key there is still a machine to look at.
    let nobody = context.roster().accounts.is_empty() && context.selected.is_empty();
    let configured = if nobody { Vec::new() } else { context.named_accounts()? };
    let mut accounts = Vec::new();
    let mut seen = BTreeSet::new();
    for (account, slots) in slots::of_each(&configured, &machine, context)? {
        let tag = slot_tag(&account.keys);
        let seats = slots.seats().map_err(slots::unusable)?;
        accounts.push(report_of(Some(account.label()), tag.as_str(), &seats));
        seen.insert(tag);
    }
    if context.selected.is_empty() {
        for (tag, count) in machine.accounts().map_err(slots::unusable)? {
            if seen.contains(&tag) {
                continue;
            }
            let slots = machine.slots(&tag, count).map_err(slots::unusable)?;
            accounts.push(report_of(None, tag.as_str(), &slots.seats().map_err(slots::unusable)?));
        }
    }
    let report = SlotsReport {
        schema: "ripcord/slots/1",
        generated_at: moment::utc(context.now()),
        accounts,
    };
    context.printer.answer(&report, || page(&report, context))?;
    Ok(Exit::Done)
}

fn report_of(account: Option<String>, tag: &str, seats: &Seats) -> AccountSlots {
    let holders = seats.seats.iter().enumerate().filter_map(|(slot, seat)| {
        let Seat::Held(holder) = seat else { return None };
        Some(HolderReport {
            slot,
            pid: holder.as_ref().map(|holder| holder.pid),
            purpose: holder.as_ref().map(slots::purpose),
            since: holder
                .as_ref()
                .map(|holder| moment::utc(Wall::from_unix_seconds(holder.since_unix_seconds))),
        })
    });
    AccountSlots {
        account,
        tag: tag.to_owned(),
        slots: seats.seats.len(),
        held: seats.held(),
        awaited: seats.awaited,
        holders: holders.collect(),
    }
}

fn page(report: &SlotsReport, context: &Context) -> Page {
    let mut page = Page::new();
    for account in &report.accounts {
        let name = account
            .account
            .clone()
            .unwrap_or_else(|| format!("account {}, not configured here", account.tag));
        let tone = if account.held < account.slots { Tone::Good } else { Tone::Warn };
        let mut line = Text::toned(Tone::Strong, name)
            .plain(" · ")
            .then(tone, format!("{} of {} slots held", account.held, account.slots));
        if account.awaited {
            line = line.plain(", and somebody waits");
        }
        page.gap().line(line);
        if account.holders.is_empty() {
            continue;
        }
        let mut table = Table::new(
            2,
            vec![
                Column::right("slot"),
                Column::left("held by"),
                Column::right("pid"),
                Column::left("since"),
            ],
        );
        for holder in &account.holders {
            let since =
                holder.since.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
            let since = since.map(|since| {
                let since = Wall::from_unix_micros(since.as_microsecond());
                context.printer.moments.at(since, context.now())
            });
            table.row(vec![
                Text::new().plain(holder.slot.to_string()),
                Text::new().plain(holder.purpose.as_deref().unwrap_or("unknown")),
                Text::new().plain(holder.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string())),
                Text::new().plain(since.unwrap_or_default()),
            ]);
        }
        page.table(table);
    }
    if report.accounts.is_empty() {
        page.line(
            Text::new().plain("No account is configured, and none was used on this machine."),
        );
    }
    page
}
