//! What one attempt takes from its account: counted before it is sent, settled when it is over.

use crate::accounts::budget::Budget;
use crate::bearers::{Bearer, Spender};
use crate::catalogue::{Member, Quote};
use crate::pipeline::call::Call;
use crate::pipeline::itinerary::Link;
use crate::shared::Shared;
use crate::terms::Terms;
use ripcord_rules::clients::Full;
use ripcord_rules::quota::{BodyDigest, CallCost, CallShape, CallSize, Ending, Held, Payer};
use ripcord_rules::time::Mono;
use ripcord_rules::units::{MilliUnits, NanoUsd};
use ripcord_store::Coverage;
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
    is_chutes: bool,
    held: Option<Held>,
    model: Arc<str>,
    terms: Arc<Terms>,
    quote: Quote,
    shape: CallShape,
    body: BodyDigest,
    began: Mono,
    /// How large it seemed to be, and what that costs.
    size: CallSize,
    likely: CallCost,
    /// Who is taken to pay; `None` if nobody knows what is left on the account.
    payer: Option<Payer>,
    /// Whose share it counts in.
    bearer: Arc<Bearer>,
    /// Whose call it is, where the balance may have to pay.
    paid_for: Option<Spender>,
}

/// Why an attempt may not be made now.
pub(crate) enum Denied {
    /// The account has no room for it.
    Budget(Budget),
    /// The bearer's share has none; and what the call may cost.
    Share(Full, NanoUsd),
}

/// What became of the attempt, as far as its price goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bill {
    /// Chutes counted this.
    Counted(UsageGlance),
    /// It broke off after this much. Whether Chutes counts it hangs on what broke (recordings, D44).
    Broken(UsageGlance),
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

/// What an attempt did cost, for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// At the account's price. A repeat stands with its whole price here, though a tenth of it counts in the windows.
    /// `None` if nobody knows it.
    pub(crate) price: Option<NanoUsd>,
    /// What stands in for tokens that nobody reported.
    pub(crate) size: Option<CallSize>,
    /// Whether that is what it is likely to cost, not what Chutes said.
    pub(crate) is_estimate: bool,
    pub(crate) coverage: Option<Coverage>,
}

impl Bill {
    /// What holds at a service of which nobody knows better: what was sent is counted, also if nobody reads the answer.
    const fn elsewhere(self) -> Self {
        match self {
            Self::Left(Some(usage)) => Self::Broken(usage),
            Self::Left(None) | Self::RunsOn => Self::Likely,
            bill => bill,
        }
    }
}

impl Settled {
    const fn nothing() -> Self {
        Self { price: Some(NanoUsd::ZERO), size: None, is_estimate: false, coverage: None }
    }
}

impl Charge {
    /// Counts an attempt on this account, if its budget and the bearer's share let it in.
    pub(crate) fn reserve(
        shared: &Arc<Shared>,
        account: usize,
        call: &Call,
        link: &Link,
    ) -> Result<Self, Denied> {
        let size = shared.sizes.lock().expect(&link.key, call.shape);
        let pricing = &shared.accounts[account].pricing;
        let terms = pricing.terms();
        let quote = link.quote(shared, &terms);
        // In full, though it may turn out to be a repeat.
        let likely = CallCost { units: MilliUnits::ONE, usd: quote.cost(quote.dearest, size, 0) };
        let now = shared.clock.now();
        let bearer = Arc::clone(&call.spender.bearer);
        let share = usd(likely);
        bearer.reserve(share, now.wall).map_err(|full| Denied::Share(full, share))?;
        let chutes = shared.chutes_of(account, &quote, &terms);
        let chutes: Vec<Option<&str>> = chutes.iter().map(Option::as_deref).collect();
        let reserved = shared.accounts[account].reserve(&call.spender, &chutes, likely, now.wall);
        let (held, budget) = reserved.map_err(|budget| {
            bearer.used(share, NanoUsd::ZERO, now.wall);
            Denied::Budget(budget)
        })?;
        let body = link.outgoing(shared).digest;
        pricing.repeats.lock().begin(body, now.mono);
        Ok(Self {
            shared: Arc::clone(shared),
            account,
            is_chutes: link.service.is_chutes(),
            held: Some(held),
            model: Arc::clone(&link.key),
            terms,
            quote,
            shape: call.shape,
            body,
            began: now.mono,
            size,
            likely,
            payer: budget.payer(),
            bearer,
            paid_for: budget.may_be_paid().then(|| call.spender.clone()),
        })
    }

    /// Nobody knows what is left on the account.
    pub(crate) const fn is_unguarded(&self) -> bool {
        self.payer.is_none()
    }

    /// Counts it at what it did cost. `answered` is the model that the answer names.
    pub(crate) fn settle(mut self, bill: Bill, answered: Option<&str>) -> Settled {
        self.settle_as(bill, answered)
    }

    fn settle_as(&mut self, bill: Bill, answered: Option<&str>) -> Settled {
        let Some(held) = self.held.take() else { return Settled::nothing() };
        let bill = if self.is_chutes { bill } else { bill.elsewhere() };
        let now = self.shared.clock.now();
        let served = self.served_by(answered);
        let is_repeat = self.ends_as_repeat(bill, served.as_ref(), now.mono);
        let (ended, cost) = match bill {
            Bill::Counted(usage) => {
                self.learn(usage);
                (now.wall, Some(self.cost_of(usage, served.as_ref())))
            }
            Bill::Broken(usage) => (now.wall, Some(self.cost_of(usage, served.as_ref()))),
            Bill::Likely => (now.wall, Some(self.likely)),
            Bill::RunsOn => (now.wall.after(RUNS_ON), Some(self.likely)),
            Bill::Left(usage) => {
                let left = usage.map(|usage| self.cost_of(usage, served.as_ref()));
                (now.wall, Some(left.unwrap_or(self.likely)))
            }
            Bill::Nothing => (now.wall, None),
        };
        let counted = cost.map(|cost| if is_repeat { cost.of_repeat() } else { cost });
        let chute = served.as_ref().and_then(|member| member.chute_id.as_deref());
        self.shared.accounts[self.account].settle(&held, chute, ended, counted);
        // At list price a repeat is not cheaper, nor is what the balance pays for.
        let whole = cost.map_or(NanoUsd::ZERO, usd);
        self.bearer.used(usd(self.likely), whole, now.wall);
        if let Some(spender) = &self.paid_for {
            spender.bearer.settle(usd(self.likely), whole, now.wall);
        }
        self.shared.budget_changed(self.account);
        self.settled(bill, cost)
    }

    fn settled(&self, bill: Bill, cost: Option<CallCost>) -> Settled {
        if matches!(bill, Bill::Left(_) | Bill::Nothing) {
            return Settled::nothing();
        }
        Settled {
            price: cost.map_or(Some(NanoUsd::ZERO), |cost| cost.usd),
            size: matches!(bill, Bill::Likely | Bill::RunsOn).then_some(self.size),
            is_estimate: !matches!(bill, Bill::Counted(_)),
            coverage: match self.payer {
                Some(Payer::Windows | Payer::Unlimited) => Some(Coverage::Covered),
                Some(Payer::Balance) => Some(Coverage::Paid),
                None => None,
            },
        }
    }

    /// The member that served it. Of a name that is not known here an answer may tell whose it is.
    fn served_by(&self, answered: Option<&str>) -> Option<Member> {
        let known = self.quote.served_by(answered).cloned();
        known.or_else(|| {
            let answered = answered.filter(|_| !self.quote.is_whole())?;
            self.shared.catalogue.quote(answered, &self.terms).served_by(None).cloned()
        })
    }

    /// Tells the repeats how it ended; whether it counts a tenth.
    fn ends_as_repeat(&self, bill: Bill, served: Option<&Member>, now: Mono) -> bool {
        let ending = match bill {
            Bill::Nothing => Ending::Nothing,
            // What the balance pays for is not cheaper, and may not count as the first of a row.
            Bill::Counted(_) if self.payer == Some(Payer::Windows) => {
                Ending::Counted(served.map(|member| &*member.name))
            }
            _ => Ending::Unsure,
        };
        let pricing = &self.shared.accounts[self.account].pricing;
        pricing.repeats.lock().end(self.body, ending, self.began, now)
    }

    /// What this usage costs; what it does not say is as it seemed before.
    fn cost_of(&self, usage: UsageGlance, served: Option<&Member>) -> CallCost {
        let size = CallSize {
            prompt_tokens: usage.prompt_tokens.unwrap_or(self.size.prompt_tokens),
            completion_tokens: usage.completion_tokens.unwrap_or(self.size.completion_tokens),
        };
        let dearest = self.quote.dearest;
        let prices = served.map_or(dearest, |member| member.prices_or(dearest));
        let cached = usage.cached_tokens.unwrap_or(0);
        CallCost { units: MilliUnits::ONE, usd: self.quote.cost(prices, size, cached) }
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

fn usd(cost: CallCost) -> NanoUsd {
    cost.usd.unwrap_or(NanoUsd::ZERO)
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.settle_as(Bill::Likely, None);
    }
}
