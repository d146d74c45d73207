//! Whether an account's budget lets a request in, and for whom.

use super::{Account, AccountState};
use crate::bearers::{PaidToday, Spender};
use ripcord_rules::quota::{
    AccountSnapshot, CallCost, Held, Margin, Missing, Payer, Paygo, Shortage, SpendingPolicy,
    Verdict, WhenUnknown, may_spend,
};
use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use std::sync::Arc;

/// An account's budget, and whether waiting for own calls could change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) budget: Budget,
    /// Own calls are under way that may cost less than is reserved for them.
    pub(crate) calls_run: bool,
    /// Own calls are counted that newer figures may show, or the figures show room all the same.
    pub(crate) may_settle: bool,
}

/// Whether an account's budget lets a request in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Budget {
    /// Open; and who pays for the next call.
    Open(Payer),
    /// Open, though nobody knows what is left.
    Unguarded,
    /// No figures yet: a request may wait for the first ones.
    NotReadYet,
    Closed(Verdict),
    /// Open, but not for this call: the balance would have to pay more for it than it may today.
    TooDear(Verdict),
}

/// What the balance may pay a day, and how much of that is left.
pub(crate) struct DailyBound {
    pub(crate) account: Arc<str>,
    /// That is a provider, which no window covers.
    pub(crate) is_provider: bool,
    /// Whose bound it is, if not the account's.
    pub(crate) client_key: Option<Arc<str>>,
    pub(crate) bound: NanoUsd,
    pub(crate) left: NanoUsd,
}

// === impl Budget ===

impl Budget {
    /// Who pays for the next call; `None` if it is not let in, or if nobody knows.
    pub(crate) const fn payer(&self) -> Option<Payer> {
        match self {
            Self::Open(payer) => Some(*payer),
            Self::Unguarded | Self::NotReadYet | Self::Closed(_) | Self::TooDear(_) => None,
        }
    }

    /// The higher, the less it lets in.
    const fn closedness(&self) -> u8 {
        match self {
            Self::Open(Payer::Windows | Payer::Unlimited) => 0,
            Self::Open(Payer::Balance) => 1,
            Self::Unguarded => 2,
            Self::NotReadYet => 3,
            Self::Closed(_) | Self::TooDear(_) => 4,
        }
    }

    /// Whether a call may go, unless it is too dear.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Unguarded)
    }

    /// Whether the balance may have to pay: nobody knows that the plan does.
    pub(crate) fn may_be_paid(&self) -> bool {
        !matches!(self.payer(), Some(Payer::Windows | Payer::Unlimited))
    }
}

// === impl Account ===

impl Account {
    /// What may be spent here by this bearer: of its policy and the account's the stricter.
    pub(crate) fn policy_for(&self, spender: &Spender) -> SpendingPolicy {
        self.policy.narrowed_by(&spender.bearer.policy).for_work(spender.work())
    }

    /// Whoever wrote `never` himself meant it, also for what nobody can see.
    pub(crate) fn refuses_unknown(&self, spender: &Spender) -> bool {
        self.policy_for(spender).paygo == Paygo::Never
            || self.when_unknown == WhenUnknown::Refuse
            || spender.bearer.policy.when_unknown == WhenUnknown::Refuse
    }

    /// Whether the budget lets a request in.
    ///
    /// `chute_id` counts where the account has a window of its own for it.
    pub(crate) fn budget(&self, spender: &Spender, chute_id: Option<&str>, now: Wall) -> Budget {
        let paid = spender.bearer.paid().all(now);
        self.budget_of_row(&self.state.lock(), spender, paid, chute_id, now)
    }

    /// The budget of one moment with what could change it.
    pub(crate) fn standing(
        &self,
        spender: &Spender,
        chute_id: Option<&str>,
        now: Wall,
    ) -> Standing {
        let [standing, _] = self.standings(spender, &[chute_id], &[chute_id], now);
        standing
    }

    /// How it stands with calls to one of some chutes, and with calls to one of others, both at the same moment.
    pub(crate) fn standings(
        &self,
        spender: &Spender,
        some: &[Option<&str>],
        others: &[Option<&str>],
        now: Wall,
    ) -> [Standing; 2] {
        let paid = spender.bearer.paid().all(now);
        let runs = spender.bearer.has_open_paid();
        let state = self.state.lock();
        [some, others].map(|chutes| self.standing_in(&state, spender, (paid, runs), chutes, now))
    }

    fn standing_in(
        &self,
        state: &AccountState,
        spender: &Spender,
        (paid, runs_for_bearer): (NanoUsd, bool),
        chutes: &[Option<&str>],
        now: Wall,
    ) -> Standing {
        let policy = self.policy_for(spender);
        let read = state.book.snapshot();
        let rows = state.book.rows_of(chutes);
        let is_used_up = read.is_some_and(|read| {
            let no = |row: &Option<Arc<str>>| {
                matches!(may_spend(read, &policy, row.as_deref(), now), Verdict::No { .. })
            };
            rows.iter().any(no)
        });
        let budget = self.budget_in(state, spender, paid, chutes, now);
        let may_settle = if is_daily(&budget) {
            let is_ahead = !is_used_up && state.book.has_unseen_paid(now);
            state.book.has_open_paid() || runs_for_bearer || is_ahead
        } else {
            !is_used_up && state.book.has_unseen()
        };
        Standing { budget, calls_run: state.book.has_open(), may_settle }
    }

    /// Counts a call that is about to be sent to one of these chutes, if the budget lets it in whichever that is. Both at
    /// once: of two calls that come together each sees the other.
    pub(crate) fn reserve(
        &self,
        spender: &Spender,
        chutes: &[Option<&str>],
        cost: CallCost,
        now: Wall,
    ) -> Result<(Held, Budget), Budget> {
        let mut paid = spender.bearer.paid();
        let mut state = self.state.lock();
        match self.budget_in(&state, spender, paid.all(now), chutes, now) {
            closed @ (Budget::Closed(_) | Budget::TooDear(_)) => Err(closed),
            Budget::NotReadYet if self.refuses_unknown(spender) => Err(Budget::NotReadYet),
            open @ (Budget::Open(_) | Budget::Unguarded | Budget::NotReadYet) => {
                if !open.may_be_paid() {
                    return Ok((state.book.hold(chutes, cost, false), open));
                }
                if let Some(verdict) =
                    self.over_bound(&state, spender, paid.all(now), cost.usd, now)
                {
                    return Err(Budget::TooDear(verdict));
                }
                reserve_paid(&mut paid, cost);
                Ok((state.book.hold(chutes, cost, true), open))
            }
        }
    }

    /// The chutes that have a row of requests of their own.
    pub(crate) fn chutes_with_rows(&self) -> Vec<Arc<str>> {
        let state = self.state.lock();
        let rows = state.book.snapshot().into_iter().flat_map(|read| &read.chute_windows);
        rows.map(|(chute, _)| chute.as_str().into()).collect()
    }

    /// Who goes first while several accounts have a free slot: what is paid for already, then what nobody can see,
    /// then what costs money.
    pub(crate) fn tier(&self, spender: &Spender, now: Wall) -> u8 {
        if !self.service.is_chutes() {
            return 0;
        }
        let policy = self.policy_for(spender);
        let state = self.state.lock();
        let verdict = state.book.snapshot().map(|known| may_spend(known, &policy, None, now));
        match verdict {
            Some(Verdict::Yes(Payer::Windows | Payer::Unlimited)) => 0,
            Some(Verdict::Unknown(_)) | None => 1,
            Some(Verdict::Yes(Payer::Balance) | Verdict::No { .. }) => 2,
        }
    }

    /// The bound for a day of which the least is left.
    pub(crate) fn daily_bound(&self, spender: &Spender, now: Wall) -> Option<DailyBound> {
        let left = |bound: NanoUsd, paid: NanoUsd| NanoUsd(bound.0.saturating_sub(paid.0).max(0));
        let of_bearer = spender.bearer.policy.daily_bound().map(|bound| DailyBound {
            account: Arc::clone(&self.label),
            is_provider: !self.service.is_chutes(),
            client_key: spender.bearer.label.clone(),
            bound,
            left: left(bound, spender.bearer.paid().all(now)),
        });
        let of_account = match self.policy_for(spender).paygo {
            Paygo::Daily(bound) => Some(DailyBound {
                account: Arc::clone(&self.label),
                is_provider: !self.service.is_chutes(),
                client_key: None,
                bound,
                left: left(bound, paid_of_account(&self.state.lock(), now)),
            }),
            Paygo::ByPlan | Paygo::Never | Paygo::Allow => None,
        };
        of_bearer.into_iter().chain(of_account).min_by_key(|bound| bound.left)
    }

    /// Of the rows that a call to one of these chutes may count in, the budget that lets in least.
    fn budget_in(
        &self,
        state: &AccountState,
        spender: &Spender,
        paid: NanoUsd,
        chutes: &[Option<&str>],
        now: Wall,
    ) -> Budget {
        let rows = state.book.rows_of(chutes).into_iter();
        let budgets = rows.map(|row| self.budget_of_row(state, spender, paid, row.as_deref(), now));
        budgets.max_by_key(Budget::closedness).unwrap_or(Budget::NotReadYet)
    }

    fn budget_of_row(
        &self,
        state: &AccountState,
        spender: &Spender,
        paid: NanoUsd,
        chute_id: Option<&str>,
        now: Wall,
    ) -> Budget {
        if !self.service.is_chutes() {
            let over = self.over_bound(state, spender, paid, None, now);
            return over.map_or(Budget::Open(Payer::Balance), Budget::Closed);
        }
        let Some(read) = state.book.snapshot() else { return Budget::NotReadYet };
        let policy = self.policy_for(spender);
        let must_not_pay = policy.allows_paygo(read.plan) != Some(true);
        // Only where it matters who pays is the last of a window left alone.
        let bounds =
            policy.bounds_paygo(read.plan) || spender.bearer.policy.daily_bound().is_some();
        let margin = if bounds { Margin::Kept } else { Margin::None };
        let Some(verdict) = state.book.verdict(&policy, chute_id, now, margin) else {
            return Budget::NotReadYet;
        };
        let is_old = |as_of| now.since(as_of) > self.trusted_for;
        let is_stale = is_old(read.oldest_figure(chute_id));
        let unknown = |missing| self.unknown(state, spender, paid, missing, now);
        match verdict {
            Verdict::Yes(Payer::Balance) if is_old(read.balance_as_of) => unknown(Missing::Balance),
            Verdict::Yes(Payer::Balance)
                if matches!(policy.paygo, Paygo::Daily(_)) && is_old(read.paid_as_of) =>
            {
                unknown(Missing::PaidToday)
            }
            Verdict::Yes(payer) if !is_stale || payer == Payer::Unlimited => {
                let over = (payer == Payer::Balance)
                    .then(|| self.over_bound(state, spender, paid, None, now))
                    .flatten();
                over.map_or(Budget::Open(payer), Budget::Closed)
            }
            // A subscription that could be charged is not used blindly; one without money cannot be.
            Verdict::Yes(_)
                if must_not_pay && (may_be_charged(read) || is_old(read.balance_as_of)) =>
            {
                Budget::Closed(Verdict::Unknown(Missing::Failed))
            }
            Verdict::Yes(_) => unknown(Missing::Failed),
            verdict @ Verdict::No { .. } => Budget::Closed(verdict),
            Verdict::Unknown(missing) => unknown(missing),
        }
    }

    /// What is not known is refused, or let in unguarded. Where the balance may pay only so much a day, own calls count as
    /// if it paid for all of them.
    fn unknown(
        &self,
        state: &AccountState,
        spender: &Spender,
        paid: NanoUsd,
        missing: Missing,
        now: Wall,
    ) -> Budget {
        // What was paid today could be all that may be paid.
        if self.refuses_unknown(spender) || missing == Missing::PaidToday {
            return Budget::Closed(Verdict::Unknown(missing));
        }
        let over = self.over_bound(state, spender, paid, None, now);
        over.map_or(Budget::Unguarded, Budget::Closed)
    }

    /// The verdict if the balance has paid as much today as it may, on the account or for the bearer; or would have with
    /// a call at this cost.
    fn over_bound(
        &self,
        state: &AccountState,
        spender: &Spender,
        paid: NanoUsd,
        cost: Option<NanoUsd>,
        now: Wall,
    ) -> Option<Verdict> {
        let cost = cost.unwrap_or(NanoUsd::ZERO);
        let pays = Verdict::Yes(Payer::Balance);
        let own = match self.policy_for(spender).paygo {
            Paygo::Daily(bound) => pays.within(bound, paid_of_account(state, now), cost, now),
            Paygo::ByPlan | Paygo::Never | Paygo::Allow => pays,
        };
        let of_bearer = spender
            .bearer
            .policy
            .daily_bound()
            .map_or(pays, |bound| pays.within(bound, paid, cost, now));
        [own, of_bearer].into_iter().find(|verdict| *verdict != pays)
    }
}

/// What the balance may have paid today, as far as anybody knows.
fn paid_of_account(state: &AccountState, now: Wall) -> NanoUsd {
    let predicted = state.book.predicted(now, Margin::Kept);
    let shown = predicted.and_then(|known| known.paid_today).unwrap_or(NanoUsd::ZERO);
    shown.max(state.book.own_paid_today(now))
}

fn reserve_paid(paid: &mut PaidToday, cost: CallCost) {
    paid.reserve(cost.usd.unwrap_or(NanoUsd::ZERO));
}

fn is_daily(budget: &Budget) -> bool {
    let by_day = |verdict: &Verdict| {
        matches!(verdict, Verdict::No { shortage: Shortage::DailyBoundReached(_), .. })
    };
    matches!(budget, Budget::Closed(verdict) | Budget::TooDear(verdict) if by_day(verdict))
}

fn may_be_charged(snapshot: &AccountSnapshot) -> bool {
    snapshot.balance.is_none_or(|balance| balance > NanoUsd::ZERO)
}
