//! What a key is good for, and what the account has left and used.
//!
//! ```sh
//! CHUTES_API_KEY=cpk_… cargo run -p ripcord-client --example account
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it finds")]

use std::error::Error;

use ripcord_client::chutes::{Chutes, KeyStanding, UsageQuery};
use ripcord_client::endpoints::Endpoints;
use ripcord_client::key::Key;
use ripcord_client::transport::{Transport, TransportSettings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    #[expect(clippy::disallowed_methods, reason = "this program has no other settings")]
    let text = std::env::var("CHUTES_API_KEY").unwrap_or_default();
    // The problem never repeats the text.
    let (key, repairs) = Key::parse(&text)?;
    for repair in repairs {
        println!("note: {repair}");
    }
    let transport = Transport::new(TransportSettings::default());
    let chutes = Chutes::new(&Endpoints::official(), transport)?.with_key(key);

    match chutes.key_standing().await {
        Ok(KeyStanding::Dead) => println!("Chutes does not know this key"),
        Ok(KeyStanding::Alive { reads_account: false, .. }) => {
            println!("this key works; what is left can only be read with an admin key");
        }
        Ok(KeyStanding::Alive { .. }) => report(&chutes).await?,
        Err(error) => println!("{error}: {}", error.hint()),
    }
    Ok(())
}

async fn report(chutes: &Chutes) -> Result<(), Box<dyn Error>> {
    let day = chutes.quota_usage().await?.value;
    println!("today: {:?} of {:?} requests, until 00:00 UTC", day.used, day.quota);
    let caps = chutes.subscription_usage().await?.value;
    for (name, window) in [("four hours", caps.four_hour), ("month", caps.monthly)] {
        if let Some(window) = window {
            println!("{name}: {:?} of {:?} US dollars", window.usage, window.cap);
        }
    }
    let history = chutes.usage_history(&UsageQuery::default(), 48).await?;
    for hour in &history.rows {
        let moment = hour.bucket.as_ref().map_or("?", |bucket| bucket.text());
        println!(
            "{moment}: {:?} requests, {:?} US dollars from the balance",
            hour.count, hour.amount
        );
    }
    Ok(())
}
