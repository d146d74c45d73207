//! What the commands ask Chutes, each question once, with errors that say what to do next.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ripcord_client::chutes::{ChuteQuery, Chutes, ChutesSettings};
use ripcord_client::endpoints::{Endpoints, PlainHttp};
use ripcord_client::error::{Error, ErrorKind};
use ripcord_client::key::AccountId;
use ripcord_client::snapshot::{AccountKeys, add_paid_today, read_account_with};
use ripcord_client::transport::{Transport, TransportLimits, TransportSettings};
use ripcord_rules::cause::Cause;
use ripcord_rules::quota::{AccountSnapshot, Paygo, READ_AT_ONCE, Readable, Work};
use ripcord_wire::chutes::Chute;
use ripcord_wire::text::clean;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::accounts::Account;
use crate::catalogue::Lists;
use crate::context::{Context, CorrectedClock};
use crate::error::CommandError;
use crate::prices;
use crate::settings::Settings;
use crate::troubleshooting;

/// Pages of the list of chutes, of a thousand each, that are read at most.
const MOST_PAGES: u32 = 12;
/// How long the gateway's start waits for who a token belongs to.
const IDENTIFIED_WITHIN: Duration = Duration::from_secs(5);
/// What of a user name is shown.
const LABEL_CHARS: usize = 60;
/// The question of `sanity`: long enough an answer to measure a pace, and cheap.
const QUESTION: &str = "Count from 1 to 20, separated by spaces. Write nothing else.";
const ANSWER_TOKENS: u32 = 64;

/// A connection to Chutes as it is configured.
pub(crate) struct Upstream {
    public: Chutes,
    /// For a call whose answer is wanted as it comes.
    pub(crate) transport: Transport,
    /// The addresses, read.
    pub(crate) endpoints: Endpoints,
    work: Work,
    /// Whether the prices of each account are read with it.
    reads_prices: bool,
}

/// What was read of one account.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) account: Account,
    /// What it is called: its configured name, else its user name, else the beginning of its key.
    pub(crate) label: String,
    /// Its user name, cleaned and shortened.
    pub(crate) username: Option<String>,
    pub(crate) snapshot: AccountSnapshot,
    /// Why something could not be read.
    pub(crate) problem: Option<CommandError>,
}

/// One timed answer.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) first_token: Duration,
    pub(crate) total: Duration,
    pub(crate) model: Option<String>,
    pub(crate) prompt_tokens: Option<u64>,
    pub(crate) completion_tokens: Option<u64>,
    pub(crate) said: String,
}

// === impl Upstream ===

impl Upstream {
    /// Reads the addresses and prepares; nothing is opened yet.
    pub(crate) fn new(context: &Context) -> Result<Self, CommandError> {
        let endpoints = endpoints(&context.settings)?;
        let limits = limits(&context.settings);
        let transport =
            Transport::new(TransportSettings { limits, ..TransportSettings::default() });
        let settings = ChutesSettings { transport: limits, ..ChutesSettings::default() };
        let public = Chutes::new(&endpoints, transport.clone())
            .map_err(|problem| CommandError::unknown(problem.to_string()))?
            .with_settings(settings);
        Ok(Self { public, transport, endpoints, work: Work::Interactive, reads_prices: false })
    }

    /// For work of this kind: what is not interactive leaves the reserve of each account alone.
    pub(crate) fn for_work(self, work: Work) -> Self {
        Self { work, ..self }
    }

    /// For work whose price matters: what an account pays otherwise than the list says is read with it, once.
    pub(crate) fn with_prices(self) -> Self {
        Self { reads_prices: true, ..self }
    }

    /// The client without a key.
    pub(crate) const fn public(&self) -> &Chutes {
        &self.public
    }

    /// The three public lists, side by side, and why any could not be read.
    pub(crate) async fn lists(&self) -> (Lists, Vec<CommandError>) {
        let (models, chutes, loads) =
            tokio::join!(self.public.models(), self.whole_chute_list(), self.public.utilization());
        let mut problems = Vec::new();
        let mut note = |error: Error| note(&mut problems, explain_list(&error));
        let models = models.map(|reply| reply.value.data.items).map_err(&mut note).ok();
        let chutes = chutes.map_err(&mut note).ok();
        let lists = Lists {
            models,
            chutes_whole: chutes.as_ref().is_some_and(|(_, whole)| *whole),
            chutes: chutes.map(|(chutes, _)| chutes),
            loads: loads.map(|reply| reply.value.items).map_err(&mut note).ok(),
        };
        (lists, problems)
    }

    /// Every public language model, and whether that is all of them. A page at a time: all in one answer could be larger
    /// than an answer may be. The list is sorted by use, which may change between two pages; then it is not whole.
    async fn whole_chute_list(&self) -> Result<(Vec<Chute>, bool), Error> {
        let mut chutes: Vec<Chute> = Vec::new();
        let mut seen = BTreeSet::new();
        for page in 0..MOST_PAGES {
            let query =
                ChuteQuery { page: Some(page).filter(|page| *page > 0), ..ChuteQuery::default() };
            let answer = match self.public.chutes(&query).await {
                Ok(reply) => reply.value,
                Err(error) if page == 0 => return Err(error),
                Err(_) => return Ok((chutes, false)),
            };
            let (sent, skipped) = (answer.items.len() + answer.items.skipped, answer.items.skipped);
            let before = seen.len();
            chutes.extend(
                answer.items.into_iter().filter(|chute| seen.insert(chute.chute_id.clone())),
            );
            let total = answer.total.and_then(|total| usize::try_from(total).ok());
            let whole = match total {
                Some(total) => seen.len() >= total,
                None => query.limit.is_some_and(|limit| sent < limit as usize) && skipped == 0,
            };
            if whole || seen.len() == before {
                return Ok((chutes, whole));
            }
        }
        Ok((chutes, false))
    }

    /// One chute of any kind; `None` if there is none of that name.
    pub(crate) async fn chute(&self, id_or_name: &str) -> Result<Option<Chute>, CommandError> {
        match self.public.chute(id_or_name).await {
            Ok(reply) => Ok(Some(reply.value)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(explain(&error)),
        }
    }

    /// By how many microseconds the clock of Chutes is ahead of that of this run, by a question that needs no key.
    pub(crate) async fn server_ahead(&self, context: &Context) -> Option<i64> {
        let answer = self.public.ping().await.ok()?;
        Some(answer.limits.date?.saturating_sub(context.now().as_unix_micros()))
    }

    /// How long the management API takes to answer.
    pub(crate) async fn ping(&self, context: &Context) -> Result<Duration, CommandError> {
        let stopwatch = context.clock.stopwatch();
        match self.public.ping().await {
            Ok(_) => Ok(stopwatch.elapsed()),
            Err(error) => Err(explain(&error)),
        }
    }

    /// Reads the accounts that `--account` names, or all. One that fails stops no other.
    pub(crate) async fn selected_readings(
        &self,
        context: &Context,
    ) -> Result<Vec<Reading>, CommandError> {
        let accounts = context.roster().usable()?;
        let is_named =
            |account: &Account| context.selected.iter().any(|name| account.is_called(name));
        let all_known = context
            .selected
            .iter()
            .all(|name| accounts.iter().any(|account| account.is_called(name)));
        let wanted: Vec<Account> = accounts
            .iter()
            .filter(|account| context.selected.is_empty() || !all_known || is_named(account))
            .cloned()
            .collect();
        let mut readings = self.readings(wanted, context).await;
        if !context.selected.is_empty() && !all_known {
            // Some names may be user names, which only the answers tell.
            let means = |reading: &Reading, name: &String| {
                reading.account.is_called(name) || reading.username.as_ref() == Some(name)
            };
            let missing = context
                .selected
                .iter()
                .find(|name| !readings.iter().any(|reading| means(reading, name)));
            if let Some(missing) = missing {
                let labels: Vec<&str> =
                    readings.iter().map(|reading| reading.label.as_str()).collect();
                return Err(CommandError::usage(format!("there is no account `{missing}`"))
                    .hint(format!("the accounts are: {}", labels.join(", "))));
            }
            readings.retain(|reading| context.selected.iter().any(|name| means(reading, name)));
        }
        Ok(readings)
    }

    /// Reads these accounts, in their order; once more if the first answers show that this machine's clock is wrong, since
    /// their figures were taken for those of other windows then.
    pub(crate) async fn readings(&self, accounts: Vec<Account>, context: &Context) -> Vec<Reading> {
        let with_policy = |mut account: Account| {
            account.policy = account.policy_for(self.work);
            account
        };
        let accounts: Vec<Account> = accounts.into_iter().map(with_policy).collect();
        let (readings, behind) = self.readings_at(accounts.clone(), context).await;
        let readings = if behind.is_some_and(|behind| context.compare_clocks(behind)) {
            self.readings_at(accounts, context).await.0
        } else {
            readings
        };
        let (mut readings, told) = one_for_each_user(readings);
        told.iter().for_each(|told| context.printer.warn(told));
        if self.reads_prices {
            self.add_prices(&mut readings, context).await;
        }
        readings
    }

    /// Reads what each account pays otherwise than the list says, unless that was done. Where it cannot be read the list
    /// price counts, and that is said once.
    async fn add_prices(&self, readings: &mut [Reading], context: &Context) {
        for reading in readings {
            // Of an account that cannot be read its problem tells already.
            if reading.account.prices.is_some() || reading.snapshot.readable != Readable::Yes {
                continue;
            }
            let own = prices::own(&self.public, &reading.account.keys).await;
            if own.own_count().is_none() {
                context.printer.warn(&format!(
                    "{}: whether it has prices of its own could not be read; the list price is used",
                    reading.label
                ));
            }
            reading.account.prices = Some(own);
        }
    }

    /// Puts accounts together whose tokens name nobody, but are of one user by `GET /users/me`. Who does not answer in time
    /// stays an account of its own.
    pub(crate) async fn identified(&self, accounts: &[Account], context: &Context) -> Vec<Account> {
        let mut asked = JoinSet::new();
        for (index, account) in accounts.iter().enumerate() {
            let Some(key) = account.keys.first().filter(|_| account.id.is_none()) else { continue };
            let chutes = self.public.clone().with_key(key.clone());
            asked.spawn(async move {
                let me = tokio::time::timeout(IDENTIFIED_WITHIN, chutes.me()).await;
                let id = me.ok().and_then(Result::ok).and_then(|me| me.value.user_id);
                (index, id.as_deref().and_then(AccountId::from_hex))
            });
        }
        let mut accounts = accounts.to_vec();
        while let Some(answer) = asked.join_next().await {
            if let Ok((index, id)) = answer
                && let Some(account) = accounts.get_mut(index)
            {
                account.id = id;
            }
        }
        let mut grouped: Vec<Account> = Vec::new();
        for account in accounts {
            let is_it = |known: &&mut Account| known.id.is_some() && known.id == account.id;
            match grouped.iter_mut().find(is_it) {
                Some(known) => context.printer.warn(&known.absorb(account)),
                None => grouped.push(account),
            }
        }
        grouped
    }

    /// The accounts, and by how much the clock they were read by is behind that of Chutes.
    async fn readings_at(
        &self,
        accounts: Vec<Account>,
        context: &Context,
    ) -> (Vec<Reading>, Option<i64>) {
        let gate = Arc::new(Semaphore::new(READ_AT_ONCE));
        let mut tasks = JoinSet::new();
        for (index, account) in accounts.into_iter().enumerate() {
            let (gate, public, clock) = (Arc::clone(&gate), self.public.clone(), context.time());
            tasks.spawn(async move {
                // Never closed, so there is always a permit at last.
                let _permit = gate.acquire_owned().await;
                (index, read(public, account, clock).await)
            });
        }
        let mut readings = Vec::new();
        while let Some(done) = tasks.join_next().await {
            readings.extend(done.ok());
        }
        readings.sort_by_key(|(index, _)| *index);
        let behind = readings.iter().find_map(|(_, (_, behind))| *behind);
        (readings.into_iter().map(|(_, (reading, _))| reading).collect(), behind)
    }

    /// Asks the model one short question with the account's first key that may call models.
    pub(crate) async fn measure(
        &self,
        reading: &Reading,
        model: &str,
        context: &Context,
    ) -> Result<Measured, CommandError> {
        let body = serde_json::json!({
            "model": model,
            "messages": [{"role": "user", "content": QUESTION}],
            "max_tokens": ANSWER_TOKENS,
            "temperature": 0,
            "stream": true,
        });
        let mut last = None;
        for key in &reading.account.keys {
            let chutes = self.public.clone().with_key(key.clone());
            match time_answer(&chutes, body.to_string(), context).await {
                Ok(measured) => return Ok(measured),
                Err(error) if error.status() == Some(401) => last = Some(error),
                Err(error) => return Err(explain(&error).account(&reading.label)),
            }
        }
        Err(match last {
            Some(error) => explain(&error).account(&reading.label),
            None => CommandError::usage("the account has no key").account(&reading.label),
        })
    }
}

async fn time_answer(chutes: &Chutes, body: String, context: &Context) -> Result<Measured, Error> {
    let stopwatch = context.clock.stopwatch();
    let mut stream = chutes.chat_stream(body).await?;
    let mut measured = Measured {
        first_token: Duration::ZERO,
        total: Duration::ZERO,
        model: None,
        prompt_tokens: None,
        completion_tokens: None,
        said: String::new(),
    };
    let mut begun = false;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        measured.model = measured.model.or(chunk.model);
        for choice in &chunk.choices {
            let text = choice.delta.text().or_else(|| choice.delta.reasoning_content.clone());
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                if !begun {
                    begun = true;
                    measured.first_token = stopwatch.elapsed();
                }
                measured.said.push_str(&text);
            }
        }
        if let Some(usage) = chunk.usage {
            let count = |tokens: Option<i64>| tokens.and_then(|tokens| u64::try_from(tokens).ok());
            // Running totals: the last one counts.
            measured.prompt_tokens = count(usage.prompt_tokens).or(measured.prompt_tokens);
            measured.completion_tokens =
                count(usage.completion_tokens).or(measured.completion_tokens);
        }
    }
    measured.total = stopwatch.elapsed();
    Ok(measured)
}

/// Reads one account, with the first of its keys that may, and by how much the clock is behind that of Chutes.
async fn read(
    public: Chutes,
    mut account: Account,
    clock: CorrectedClock,
) -> (Reading, Option<i64>) {
    let keys = AccountKeys { account: account.id.clone(), keys: account.keys.clone() };
    let mut reading = read_account_with(&public, &keys, &|| clock.now()).await;
    if matches!(account.policy.paygo, Paygo::Daily(_)) && reading.snapshot.readable == Readable::Yes
    {
        add_paid_today(&public, &keys.keys, &mut reading, &|| clock.now()).await;
    }
    account.id = reading.account.clone().or(account.id);
    let username = reading.username.as_deref().map(|name| clean(name, LABEL_CHARS));
    let username = username.filter(|name| !name.is_empty());
    let label =
        account.name.clone().or_else(|| username.clone()).unwrap_or_else(|| account.label());
    let problem = match reading.snapshot.readable {
        Readable::Forbidden => Some(refused(&public, &account).await),
        Readable::Yes | Readable::Failed => {
            reading.problems.first().map(|(_, error)| explain(error))
        }
    };
    let reading_of_account = Reading {
        problem: problem.map(|problem| problem.account(label.clone())),
        label,
        username,
        snapshot: reading.snapshot,
        account,
    };
    (reading_of_account, reading.clock_offset_micros)
}

/// Readings of one user become one, the best of them: a token does not say whose it is, the answers do. And what is told
/// of it.
fn one_for_each_user(readings: Vec<Reading>) -> (Vec<Reading>, Vec<String>) {
    let (mut kept, mut told): (Vec<Reading>, Vec<String>) = (Vec::new(), Vec::new());
    for reading in readings {
        let is_it = |known: &&mut Reading| {
            known.account.id.is_some() && known.account.id == reading.account.id
        };
        let Some(known) = kept.iter_mut().find(is_it) else {
            kept.push(reading);
            continue;
        };
        if known.snapshot.readable != Readable::Yes && reading.snapshot.readable == Readable::Yes {
            known.snapshot = reading.snapshot;
            known.problem = reading.problem;
        }
        told.push(known.account.absorb(reading.account));
    }
    (kept, told)
}

/// The account endpoints say the same of a dead key and of one without the scope; the list of models tells the two
/// apart, and costs nothing.
async fn refused(public: &Chutes, account: &Account) -> CommandError {
    let Some(key) = account.keys.first() else {
        return CommandError::usage("the account has no key");
    };
    let whose = if account.keys.len() == 1 { "the key" } else { "every key" };
    match public.clone().with_key(key.clone()).models_with_key().await {
        Ok(_) => CommandError::unknown(format!(
            "{whose} may call models but is not let read the account"
        ))
        .hint(
            "add an admin key of this account to see its quota; until then its calls are unguarded",
        )
        .see("account-unreadable"),
        Err(error) if error.status() == Some(401) => {
            CommandError::unknown(format!("{whose} is refused: it is dead, or has no useful scope"))
                .hint("create a new key at https://chutes.ai/app/api")
                .see("key-refused")
        }
        Err(error) => explain(&error),
    }
}

/// The addresses of the settings.
pub(crate) fn endpoints(settings: &Settings) -> Result<Endpoints, CommandError> {
    let chutes = &settings.chutes;
    Endpoints::from_urls(
        Some(&chutes.api_url.value),
        Some(&chutes.llm_url.value),
        None,
        PlainHttp::LoopbackOnly,
    )
    .map_err(|problem| {
        let origin = match problem.service {
            ripcord_client::endpoints::Service::Api => &chutes.api_url.origin,
            _ => &chutes.llm_url.origin,
        };
        CommandError::usage(format!("{problem} (from {origin})"))
            .hint(format!("write {}", problem.suggestion()))
            .see("wrong-host")
    })
}

fn limits(settings: &Settings) -> TransportLimits {
    TransportLimits {
        connect: settings.limits.connect.value,
        first_byte: settings.limits.first_byte.value,
        idle: settings.limits.idle.value,
        ..TransportLimits::default()
    }
}

/// A failed call in the words of a command.
pub(crate) fn explain(error: &Error) -> CommandError {
    let told = match error.kind() {
        ErrorKind::NoKey => CommandError::usage(error.to_string()),
        ErrorKind::Transport(failed) => {
            CommandError::unknown(format!("{}: {}", error.call(), failed.kind()))
        }
        _ => CommandError::unknown(error.to_string()),
    };
    CommandError {
        cause: error.cause(),
        see: troubleshooting::anchor_of_error(error),
        ..told.hint(error.hint())
    }
}

/// [`explain`] for a list, for which nobody gave a word: there is nothing of theirs to check.
fn explain_list(error: &Error) -> CommandError {
    let told = explain(error);
    if !matches!(error.cause(), Some(Cause::BadRequest | Cause::ModelNotFound)) {
        return told;
    }
    let hints = vec![
        "check `chutes.api_url` and `chutes.llm_url`; if they are right, Chutes has changed: look for a newer Ripcord".to_owned(),
    ];
    CommandError { hints, ..told }
}

/// Adds a problem unless one that is fixed the same way is there: a dead host is one problem, not three.
pub(crate) fn note(problems: &mut Vec<CommandError>, problem: CommandError) {
    if !problems.iter().any(|seen| seen.hints == problem.hints) {
        problems.push(problem);
    }
}
