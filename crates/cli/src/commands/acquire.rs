//! `ripcord acquire -- COMMAND`: holds a slot while a command runs.

use std::time::Duration;

use crate::args::AcquireArguments;
use crate::commands::serve::label;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::{child, slots};

/// The variable that tells the command whose slot it has.
pub(super) const ACCOUNT: &str = "RIPCORD_ACCOUNT";

/// Waits for a slot, runs the command, gives the slot back, and ends as the command did.
pub(crate) async fn run(
    arguments: &AcquireArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    let accounts = context.named_accounts()?;
    let timeout = arguments.timeout.map(Duration::from_secs);
    let Some(held) = slots::hold(&accounts, "acquire", timeout, context).await? else {
        let seconds = arguments.timeout.unwrap_or_default();
        return Err(slots::none_within(seconds));
    };
    let account = label(held.account);
    let ended = child::run(&arguments.command, &[(ACCOUNT, &account)], &context.printer).await;
    drop(held);
    ended
}
