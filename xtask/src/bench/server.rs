//! The programs that are measured.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::project::Project;
use crate::recipe::Outcome;

/// A program that says where it listens; stopped when dropped.
pub(super) struct Server {
    child: Child,
    pub(super) address: String,
}

impl Server {
    /// The gateway, with the emulator for the account's figures and `llm` for the calls.
    pub(super) fn gateway(project: &Project, key: &str, api: &str, llm: &str) -> Outcome<Self> {
        let home = project.target.join("bench-home");
        let written = std::fs::create_dir_all(home.join("ripcord")).and_then(|()| {
            std::fs::write(
                home.join("ripcord/config.toml"),
                "[gateway]\nslots_per_account = 64\npace = \"off\"\n[spending]\npaygo = \"allow\"\nmin_balance = 0\n",
            )
        });
        written.map_err(|error| format!("cannot write below `{}`: {error}", home.display()))?;
        let mut gateway = Command::new(project.target.join("release/ripcord"));
        gateway
            .arg("serve")
            .env("CHUTES_API_KEY", key)
            .env("CHUTES_API_URL", format!("http://{api}"))
            .env("CHUTES_LLM_URL", format!("http://{llm}"))
            .env("XDG_CONFIG_HOME", &home)
            .env("XDG_STATE_HOME", &home);
        Self::start(gateway)
    }

    pub(super) fn start(mut command: Command) -> Outcome<Self> {
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
    pub(super) fn key(&self, account: &str) -> Outcome<String> {
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
    pub(super) fn cpu_ticks(&self) -> Outcome<u64> {
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
