//! What a key is good for, and what the account has left and used.
//!
//! ```sh
//! CHUTES_API_KEY=cpk_… cargo run -p ripcord-client --example account
//! CHUTES_API_KEY=cpk_… cargo run -p ripcord-client --example account -- http://127.0.0.1:8791   # of an emulator
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it finds")]

use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;

use ripcord_client::chutes::{Chutes, KeyStanding, UsageQuery};
use ripcord_client::endpoints::{Endpoints, PlainHttp};
use ripcord_client::error::Error as CallError;
use ripcord_client::key::Key;
use ripcord_client::transport::{Transport, TransportSettings};
use ripcord_wire::chutes::QuotaAmount;

#[tokio::main]
async fn main() -> ExitCode {
    match run(std::env::args().nth(1).as_deref()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            if let Some(error) = problem.downcast_ref::<CallError>() {
                eprintln!("{}", error.hint());
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(url: Option<&str>) -> Result<(), Box<dyn Error>> {
    #[expect(clippy::disallowed_methods, reason = "this program has no other settings")]
    let text = std::env::var("CHUTES_API_KEY").unwrap_or_default();
    // The problem never repeats the text.
    let (key, repairs) = Key::parse(&text)?;
    for repair in repairs {
        println!("note: {repair}");
    }
    let endpoints = Endpoints::from_urls(url, url, None, PlainHttp::LoopbackOnly)?;
    let transport = Transport::new(TransportSettings::default());
    let chutes = Chutes::new(&endpoints, transport)?.with_key(key);

    match chutes.key_standing().await? {
        KeyStanding::Dead => println!("Chutes does not know this key"),
        KeyStanding::Alive { calls_models, reads_account } => {
            println!("calls models: {calls_models}, reads the account: {reads_account}");
            if reads_account {
                report(&chutes).await?;
            }
        }
    }
    Ok(())
}

async fn report(chutes: &Chutes) -> Result<(), Box<dyn Error>> {
    let day = chutes.quota_usage().await?.value;
    let quota = match day.quota {
        Some(QuotaAmount::PerDay(requests)) => requests.to_string(),
        Some(QuotaAmount::Unlimited) => "any number of".to_owned(),
        None => "?".to_owned(),
    };
    println!("today: {} of {quota} requests, until 00:00 UTC", known(day.used));
    let caps = chutes.subscription_usage().await?.value;
    for (name, window) in [("four hours", caps.four_hour), ("month", caps.monthly)] {
        if let Some(window) = window {
            println!("{name}: {} of {} US dollars", known(window.usage), known(window.cap));
        }
    }
    let history = chutes.usage_history(&UsageQuery::default(), 48).await?;
    for hour in history.rows {
        let moment = hour.bucket.as_ref().map(|bucket| bucket.text());
        let (count, amount) = (known(hour.count), known(hour.amount));
        println!("{}: {count} requests, {amount} US dollars of the balance", known(moment));
    }
    Ok(())
}

/// Absent is unknown, never zero.
fn known(figure: Option<impl Display>) -> String {
    figure.map_or_else(|| "?".to_owned(), |figure| figure.to_string())
}
