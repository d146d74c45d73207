//! What runs now, what it costs and how fast it was: without a key.
//!
//! ```sh
//! cargo run -p ripcord-client --example models -- Qwen             # models with this in their name
//! cargo run -p ripcord-client --example models -- Qwen http://127.0.0.1:8791   # asked of an emulator
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it finds")]

use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;

use ripcord_client::chutes::{ChuteQuery, Chutes, StatisticsQuery};
use ripcord_client::endpoints::{Endpoints, PlainHttp};
use ripcord_client::error::Error as CallError;
use ripcord_client::transport::{Transport, TransportSettings};
use ripcord_wire::text;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match list(arguments.next(), arguments.next().as_deref()).await {
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

async fn list(name: Option<String>, url: Option<&str>) -> Result<(), Box<dyn Error>> {
    let endpoints = Endpoints::from_urls(url, url, None, PlainHttp::LoopbackOnly)?;
    let chutes = Chutes::new(&endpoints, Transport::new(TransportSettings::default()))?;
    let query = ChuteQuery { name, ..ChuteQuery::default() };

    let page = chutes.chutes(&query).await?.value;
    // The newest day comes first; the first row of each chute is its last known speed.
    let mut speeds = HashMap::new();
    for row in chutes.llm_statistics(&StatisticsQuery::default()).await?.value {
        if let Some(chute) = row.chute_id {
            speeds.entry(chute).or_insert((row.average_ttft, row.average_tps));
        }
    }
    println!("{:<48} {:>6} {:>10} {:>10}  state", "model", "ttft s", "tokens/s", "$ per M");
    for chute in &page.items {
        let (first, pace) = speeds.get(&chute.chute_id).copied().unwrap_or_default();
        let price = chute.current_estimated_price.as_ref();
        let output = price.and_then(|price| price.per_million_tokens.as_ref()?.output.as_ref());
        // Names are somebody else's text.
        let name = text::clean(chute.name.as_deref().unwrap_or("?"), 48);
        println!(
            "{name:<48} {:>6} {:>10} {:>10}  {}",
            shown(first),
            shown(pace),
            output
                .and_then(|output| output.usd.as_ref())
                .map_or("?".to_owned(), ToString::to_string),
            if chute.hot == Some(true) { "hot" } else { "cold" },
        );
    }
    if page.items.skipped > 0 {
        println!("{} could not be read", page.items.skipped);
    }
    Ok(())
}

fn shown(figure: Option<f64>) -> String {
    figure.map_or("?".to_owned(), |figure| format!("{figure:.1}"))
}
