//! What a short completion costs: the emulator's plain server alone, and the gateway before it, in one run.
//!
//! Figures of a shared machine are only worth what they say of each other. Needs `wrk` and `taskset`.

use std::process::Command;

use super::server::Server;
use crate::program::output_of;
use crate::project::Project;
use crate::recipe::Outcome;

const CONNECTIONS: u32 = 32;
const SECONDS: u32 = 6;

/// Whether the programs are there that this needs.
pub(super) fn tools() -> Outcome {
    for tool in ["wrk", "taskset"] {
        output_of(Command::new("sh").args(["-c", &format!("command -v {tool}")])).map_err(
            |_| format!("`{tool}` is missing; on Debian: apt-get install wrk util-linux"),
        )?;
    }
    Ok(())
}

pub(super) fn measure(project: &Project) -> Outcome {
    let programs = project.target.join("release");
    let key = {
        let emulator = Server::start(Command::new(programs.join("chutes-emulator")))?;
        emulator.key("pro")?
    };
    let mut plain = Command::new("taskset");
    plain.args(["-c", "0"]).arg(programs.join("chutes-emulator")).arg("--plain");
    let plain = Server::start(plain)?;
    let alone = load(project, &["taskset", "-c", "1"], &plain.address)?;
    println!("plain server alone, one core:        {alone:>8.0} requests a second");

    let gateway = Server::gateway(project, &key, &plain.address, &plain.address)?;
    let before = gateway.cpu_ticks()?;
    let through = load(project, &[], &gateway.address)?;
    let ticks = gateway.cpu_ticks()? - before;
    // A tick is a hundredth of a second on Linux.
    let per_request_us = ticks as f64 * 10_000.0 / (through * f64::from(SECONDS));
    println!("through the gateway, all on 2 cores: {through:>8.0} requests a second");
    println!(
        "the gateway's own CPU per request:   {per_request_us:>8.1} µs, the ledger's included"
    );
    println!("ratio:                               {:>8.2}", through / alone);
    Ok(())
}

/// Requests a second, or why there are none.
fn load(project: &Project, before: &[&str], address: &str) -> Outcome<f64> {
    let words: Vec<&str> = before.iter().copied().chain(["wrk"]).collect();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{SECONDS}s"), "-s"])
        .arg(project.root.join("xtask/bench/chat.lua"))
        .arg(format!("http://{address}/v1/chat/completions"));
    let report = output_of(&mut command)?;
    if report.contains("Non-2xx") || report.contains("Socket errors") {
        return Err(format!("not every request was answered:\n{report}"));
    }
    let line = report.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    line.and_then(|figure| figure.trim().parse().ok()).ok_or(report)
}
