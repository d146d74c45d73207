//! What one attempt takes from its account: counted before it is sent, settled when it is over.

use crate::accounts::Budget;
use crate::pipeline::call::Call;
use crate::shared::Shared;
use ripcord_rules::quota::{CallCost, CallShape, CallSize, Reservation};
use ripcord_rules::units::{MilliUnits, NanoUsd};
use ripcord_wire::chat::UsageGlance;
use std::sync::Arc;
use std::time::Duration;

/// A plain call that nobody waits for any more runs on at Chutes and is booked when it is done; so long it may be missing
/// in the figures.
const RUNS_ON: Duration = Duration::from_secs(120);

/// An attempt that is counted. Settle it; one that is dropped counts as likely as it seemed.
pub(crate) struct Charge {
    shared: Arc<Shared>,
    account: usize,
    reservation: Option<Reservation>,
    model: Arc<str>,
    shape: CallShape,
    /// How large it seemed to be, and what that costs.
    size: CallSize,
    likely: CallCost,
    /// Nobody knows what is left on the account.
    pub(crate) is_unguarded: bool,
}

/// What became of the attempt, as far as its price goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bill {
    /// Chutes counted this.
    Counted(UsageGlance),
    /// It ended, and nobody said what it cost.
    Likely,
    /// It runs on without us and will be counted.
    RunsOn,
    /// A stream that was left, after this much. It costs nothing (recordings, D43) unless something between us and Chutes
    /// reads on, so it counts until the figures tell.
    Left(Option<UsageGlance>),
    /// It failed and costs nothing.
    Nothing,
}

impl Charge {
    /// Counts an attempt on this account, if its budget lets it in.
    pub(crate) fn reserve(
        shared: &Arc<Shared>,
        account: usize,
        call: &Call,
    ) -> Result<Self, Budget> {
        let size = shared.sizes.lock().expect(&call.model, call.shape);
        let usd = shared.catalogue.careful_price(&call.model, size);
        let likely = CallCost { units: MilliUnits::ONE, usd: Some(usd) };
        let has_rows = shared.accounts[account].has_chute_windows();
        let chute_id = has_rows.then(|| shared.catalogue.chute_id(&call.model)).flatten();
        let now = shared.clock.now().wall;
        let (reservation, budget) =
            shared.accounts[account].reserve(chute_id.as_deref(), likely, now)?;
        Ok(Self {
            shared: Arc::clone(shared),
            account,
            reservation: Some(reservation),
            model: Arc::clone(&call.model),
            shape: call.shape,
            size,
            likely,
            is_unguarded: budget != Budget::Open,
        })
    }

    /// Counts it at what it did cost; the list price of that.
    pub(crate) fn settle(mut self, bill: Bill) -> Option<NanoUsd> {
        self.settle_as(bill)
    }

    fn settle_as(&mut self, bill: Bill) -> Option<NanoUsd> {
        let reservation = self.reservation.take()?;
        let now = self.shared.clock.now().wall;
        let (ended, cost) = match bill {
            Bill::Counted(usage) => {
                self.learn(usage);
                (now, Some(self.cost_of(usage)))
            }
            Bill::Likely => (now, Some(self.likely)),
            Bill::RunsOn => (now.after(RUNS_ON), Some(self.likely)),
            Bill::Left(usage) => {
                (now, Some(usage.map_or(self.likely, |usage| self.cost_of(usage))))
            }
            Bill::Nothing => (now, None),
        };
        self.shared.accounts[self.account].settle(reservation, ended, cost);
        self.shared.budget_changed(self.account);
        cost.and_then(|cost| cost.usd).filter(|_| !matches!(bill, Bill::Left(_)))
    }

    /// What this usage costs; what it does not say is as it seemed before.
    fn cost_of(&self, usage: UsageGlance) -> CallCost {
        let said = CallSize {
            prompt_tokens: usage.prompt_tokens.unwrap_or(self.size.prompt_tokens),
            completion_tokens: usage.completion_tokens.unwrap_or(self.size.completion_tokens),
        };
        let catalogue = &self.shared.catalogue;
        let usd = catalogue
            .list_price(&self.model, usage)
            .unwrap_or_else(|| catalogue.careful_price(&self.model, said));
        CallCost { units: MilliUnits::ONE, usd: Some(usd) }
    }

    fn learn(&self, usage: UsageGlance) {
        let (Some(prompt_tokens), Some(completion_tokens)) =
            (usage.prompt_tokens, usage.completion_tokens)
        else {
            return;
        };
        let size = CallSize { prompt_tokens, completion_tokens };
        self.shared.sizes.lock().learn(&self.model, self.shape, size);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.settle_as(Bill::Likely);
    }
}
