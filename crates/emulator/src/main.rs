//! The `chutes-emulator` program.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use chutes_emulator::{Emulator, Scenario};
use clap::Parser;

/// Chutes.ai on loopback.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Scenario to start from (TOML); the demonstration without it
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Make up this many models behind those of the scenario
    #[arg(long, value_name = "MODELS")]
    generate: Option<usize>,
    /// Seed of everything drawn by chance, in place of the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// Answer every POST with a fixed short completion or stream, without accounting, for load tests
    #[arg(long)]
    plain: bool,
    /// Allow addresses that other machines can reach
    #[arg(long)]
    allow_other_machines: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One thread: the plain server is measured by the core, and the other needs no more.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    match runtime.block_on(run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error.to_string()),
    }
}

#[expect(clippy::print_stderr, reason = "the program's one way to say why it stops")]
fn failed(text: &str) -> ExitCode {
    eprintln!("chutes-emulator: {text}");
    ExitCode::FAILURE
}

/// Where it listens, and what to set to call it with the first account's key. One write: whoever reads only the first
/// line may be gone for the others.
fn announce(address: SocketAddr, first_account: Option<&str>) {
    use std::io::Write as _;
    let mut text = format!("listening on http://{address}\n");
    if let Some(name) = first_account {
        let key = Scenario::key(name, 0);
        text.push_str(&format!(
            "\n# the account `{name}`; the others: curl http://{address}/__emulator/accounts\n\
             export CHUTES_API_URL=http://{address} CHUTES_LLM_URL=http://{address}/v1\n\
             export CHUTES_API_KEY={key}\n"
        ));
    }
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    if !arguments.listen.ip().is_loopback() && !arguments.allow_other_machines {
        return Err("only loopback addresses without --allow-other-machines".into());
    }
    let mut scenario = match &arguments.scenario {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("read {}: {error}", path.display()))?;
            Scenario::from_toml(&text)?
        }
        None => Scenario::demo(),
    };
    if let Some(models) = arguments.generate {
        scenario.catalogue.generated = models;
    }
    scenario.seed = arguments.seed.unwrap_or(scenario.seed);
    let first_account = scenario.accounts.first().map(|account| account.name.clone());
    let first_account = first_account.filter(|_| !arguments.plain);
    let emulator = if arguments.plain {
        Emulator::start_plain(arguments.listen, scenario).await?
    } else {
        Emulator::start_at(arguments.listen, scenario).await?
    };
    announce(emulator.address(), first_account.as_deref());
    tokio::signal::ctrl_c().await?;
    emulator.shutdown().await;
    Ok(())
}
