//! What a short completion costs: the emulator's plain server alone, and the gateway before it, in one run.
//!
//! Figures of a shared machine are only worth what they say of each other. Needs `wrk` and `taskset`; it is no test
//! and no part of CI.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::program::{cargo, output_of, run};
use crate::project::Project;
use crate::recipe::{Outcome, Recipe};

const CONNECTIONS: u32 = 32;
const SECONDS: u32 = 6;

pub(crate) fn recipe(project: &Project) -> Outcome {
    let mut recipe = Recipe::default();
    let ready = recipe.step("programs", || {
        for tool in ["wrk", "taskset"] {
            output_of(Command::new("sh").args(["-c", &format!("command -v {tool}")])).map_err(
                |_| format!("`{tool}` is missing; on Debian: apt-get install wrk util-linux"),
            )?;
        }
        run(&mut cargo(&project.root, &["build", "--release", "--workspace", "--bins"]))
    });
    if ready.is_some() {
        recipe.step("short completions", || measure(project));
    }
    recipe.end()
}

fn measure(project: &Project) -> Outcome {
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

    let home = project.target.join("bench-home");
    std::fs::create_dir_all(home.join("ripcord"))
        .and_then(|()| {
            std::fs::write(home.join("ripcord/config.toml"), "[gateway]\nslots_per_account = 64\n")
        })
        .map_err(|error| format!("cannot write below `{}`: {error}", home.display()))?;
    let mut gateway = Command::new(programs.join("ripcord"));
    gateway
        .arg("serve")
        .env("CHUTES_API_KEY", key)
        .env("CHUTES_API_URL", format!("http://{}", plain.address))
        .env("CHUTES_LLM_URL", format!("http://{}", plain.address))
        .env("XDG_CONFIG_HOME", &home)
        .env("XDG_STATE_HOME", &home);
    let gateway = Server::start(gateway)?;
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

/// A program that says where it listens; stopped when dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(mut command: Command) -> Outcome<Self> {
        let child = command
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                format!("cannot start `{}`: {error}", command.get_program().display())
            })?;
        let mut server = Self { child, address: String::new() };
        let stdout =
            server.child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read>);
        let stderr =
            server.child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read>);
        // The emulator says it on stdout, the gateway on stderr.
        let is_gateway = Path::new(command.get_program()).ends_with("ripcord");
        let lines =
            BufReader::new(if is_gateway { stderr } else { stdout }.ok_or("no output")?).lines();
        for line in lines.map_while(Result::ok) {
            if let Some((_, address)) = line.split_once("listening on http://") {
                server.address = address.trim().to_owned();
                return Ok(server);
            }
        }
        Err("it ended before it listened".to_owned())
    }

    /// The first key of one of the emulator's accounts.
    fn key(&self, account: &str) -> Outcome<String> {
        let failed = |error: std::io::Error| format!("cannot ask the emulator: {error}");
        let mut stream = TcpStream::connect(&self.address).map_err(failed)?;
        write!(
            stream,
            "GET /__emulator/accounts/{account} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
        .map_err(failed)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(failed)?;
        let key = answer.split('"').find(|word| word.starts_with("cpk_"));
        key.map(str::to_owned).ok_or_else(|| "the emulator shows no key".to_owned())
    }

    /// User and system time so far, from `/proc`.
    fn cpu_ticks(&self) -> Outcome<u64> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot read `{path}`: {error}"))?;
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        ticks(11)
            .zip(ticks(12))
            .map(|(user, system)| user + system)
            .ok_or_else(|| format!("`{path}` is unreadable"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
