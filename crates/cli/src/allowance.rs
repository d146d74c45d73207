//! Whether an account still has budget while a command runs: as the gateway of this machine sees it, else by own readings, which
//! are as sparing as those of somebody who waits.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use ripcord_client::endpoints::{BaseUrl, PlainHttp, Service};
use ripcord_rules::quota::{LEAST_PAUSE, Readable};
use ripcord_rules::schedule::{Ahead, near_the_end};
use ripcord_rules::time::Wall;
use serde::Deserialize;
use tokio::sync::watch;

use crate::args::Priority;
use crate::commands::serve::label;
use crate::context::Context;
use crate::upstream::{Reading, Upstream};
use crate::waiting::{Goal, Wait};

/// How long the gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest report of a gateway that is read.
const REPORT_BYTES: usize = 4 << 20;
/// From this share of a window on, in percent, the gateway is asked more often.
const NEAR_PERCENT: f64 = 95.0;

/// How things stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// Whether there is budget; `None` if that is not known.
    pub(crate) is_open: Option<bool>,
    /// When there will be.
    pub(crate) opens_at: Option<Wall>,
    /// The calls under way at the gateway.
    pub(crate) calls: Calls,
}

/// Calls under way at the gateway of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// The ports they come from.
    pub(crate) ports: Vec<u16>,
    /// The port of the gateway.
    pub(crate) gateway: u16,
}

/// The part of the gateway's report that matters here.
#[derive(Deserialize)]
struct Report {
    accounts: Vec<AccountReport>,
    #[serde(default)]
    calling_ports: Vec<u16>,
}

#[derive(Deserialize)]
struct AccountReport {
    account: String,
    budget: String,
    #[serde(default)]
    opens_at: Option<String>,
    #[serde(default)]
    windows: Vec<WindowReport>,
}

#[derive(Deserialize)]
struct WindowReport {
    used_percent: Option<f64>,
}

/// Follows the budget of one account.
pub(crate) struct Allowance<'c> {
    context: &'c Context,
    upstream: &'c Upstream,
    wait: Wait<'c>,
    readings: Vec<Reading>,
    next_look: Wall,
    /// Asked more often while this is set: somebody waits for calls to end.
    closely: &'c Cell<bool>,
    /// For whom the command works.
    priority: Priority,
}

// === impl Allowance ===

impl<'c> Allowance<'c> {
    /// Of the account of this reading.
    pub(crate) fn new(
        reading: Reading,
        wait: Wait<'c>,
        upstream: &'c Upstream,
        closely: &'c Cell<bool>,
        priority: Priority,
        context: &'c Context,
    ) -> Self {
        let next_look = context.now();
        Self { context, upstream, wait, readings: vec![reading], next_look, closely, priority }
    }

    /// Tells how things stand, again and again.
    pub(crate) async fn follow(mut self, tell: watch::Sender<View>) -> std::convert::Infallible {
        let account = self.readings.first().map(|reading| label(&reading.account));
        let account = account.unwrap_or_default();
        loop {
            let report = self.ask_gateway().await;
            let (calls, of_account) = match report {
                Some((report, gateway)) => {
                    let calls = Calls { ports: report.calling_ports, gateway };
                    let mut accounts = report.accounts.into_iter();
                    (calls, accounts.find(|known| known.account == account))
                }
                None => (Calls::default(), None),
            };
            let by_gateway = of_account.as_ref().and_then(AccountReport::is_open);
            let is_near =
                of_account.as_ref().is_some_and(|known| known.is_near_the_end(self.near()));
            let (is_open, opens_at) = match by_gateway {
                Some(true) => (Some(true), None),
                Some(false) => (Some(false), of_account.as_ref().and_then(AccountReport::opens_at)),
                None => self.own_view().await,
            };
            tell.send_replace(View { is_open, opens_at, calls });
            let step = match (self.closely.get(), by_gateway) {
                (true, _) => Duration::from_millis(500),
                (false, Some(true)) if !is_near => LEAST_PAUSE,
                (false, _) => Duration::from_secs(1),
            };
            self.wait.rest(step).await;
        }
    }

    /// By own readings: at most one per refresh interval, or in ten seconds near the end of a window.
    async fn own_view(&mut self) -> (Option<bool>, Option<Wall>) {
        let is_due = self.context.now() >= self.next_look || self.wait.is_shaken();
        // A look that fails leaves what is known; the selection was made before.
        if is_due && self.wait.look_again(&mut self.readings, self.upstream).await.is_ok() {
            let (now, refresh) = (self.context.now(), self.context.settings.chutes.refresh.value);
            let near = self
                .readings
                .iter()
                .any(|reading| near_the_end(&reading.snapshot, &reading.account.policy, now));
            let calm = now.after(if near { LEAST_PAUSE } else { refresh });
            self.next_look = self.ahead().next_look(now, refresh).unwrap_or(calm);
        }
        let unread = self.readings.iter().any(|reading| reading.snapshot.readable != Readable::Yes);
        if self.wait.is_shaken() || unread {
            return (None, None);
        }
        match self.ahead() {
            Ahead::Open(_) => (Some(true), None),
            Ahead::Unreadable => (None, None),
            other => (Some(false), other.moment()),
        }
    }

    /// From this share of a window on, in percent, its end is near for work of this priority.
    fn near(&self) -> f64 {
        let kept = self.readings.iter().map(|reading| reading.account.policy.reserve_permille);
        let kept = kept.max().and_then(|permille| u16::try_from(permille).ok()).unwrap_or(0);
        NEAR_PERCENT - f64::from(kept) / 10.0
    }

    fn ahead(&self) -> Ahead {
        let goal = Goal::one_call(true);
        self.wait.ahead(&goal, &self.readings, self.context.now())
    }

    /// What the gateway that is configured says, if it runs, with its port.
    async fn ask_gateway(&self) -> Option<(Report, u16)> {
        let address = reachable(self.context.settings.gateway.listen.value)?;
        let base =
            BaseUrl::parse(Service::Llm, &format!("http://{address}"), PlainHttp::LoopbackOnly);
        let target = self.upstream.transport.target(&base.ok()?).ok()?;
        let path = format!("/-/status?priority={}", self.priority.name());
        let request = http::Request::get(path).body(bytes::Bytes::new()).ok()?;
        let answer = async {
            let answer = self.upstream.transport.send(&target, request).await.ok()?;
            let body = Limited::new(answer.into_body(), REPORT_BYTES).collect().await.ok()?;
            serde_json::from_slice(&body.to_bytes()).ok()
        };
        let report = tokio::time::timeout(PATIENCE, answer).await.ok()??;
        Some((report, address.port()))
    }
}

// === impl AccountReport ===

impl AccountReport {
    /// Whether it takes calls; `None` where that is about to be known.
    fn is_open(&self) -> Option<bool> {
        match self.budget.as_str() {
            "open" => Some(true),
            "closed" => Some(false),
            _ => None,
        }
    }

    fn opens_at(&self) -> Option<Wall> {
        let moment = self.opens_at.as_ref()?.parse::<jiff::Timestamp>().ok()?;
        Some(Wall::from_unix_micros(moment.as_microsecond()))
    }

    fn is_near_the_end(&self, near: f64) -> bool {
        self.windows.iter().any(|window| window.used_percent >= Some(near))
    }
}

/// Where a gateway that listens there is reached from this machine.
pub(crate) fn reachable(listen: SocketAddr) -> Option<SocketAddr> {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    (listen.port() != 0).then(|| SocketAddr::new(address, listen.port()))
}
