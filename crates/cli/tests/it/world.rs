//! A world for one test: the emulator on its own port, a home of its own, and the real binary with a clock that
//! stands still.

use std::path::Path;
use std::process::{Command, Stdio};

use chutes_emulator::{AccountSpec, Emulator, ModelSpec, PlanSpec, Running, Scenario, StateSpec};

/// The moment at which every test takes place, on both sides.
pub(crate) const NOW: &str = "2026-09-27T11:13:00Z";

/// A port on which nothing listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// The emulator, a home directory, and what the environment holds.
pub(crate) struct World {
    emulator: Running,
    home: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// How a run of the binary ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A catalogue with a model in every state.
pub(crate) fn catalogue() -> Scenario {
    let mut vision =
        ModelSpec::new("moonshotai/Kimi-K2.5-TEE").price(0.5, 2.8, 0.25).state(StateSpec::Busy);
    vision.input_modalities = vec!["text".into(), "image".into()];
    Scenario::empty()
        .stopped_at(NOW)
        .lag(chutes_emulator::Lag::none())
        .model(ModelSpec::new("Qwen/Qwen2.5-72B-Instruct").price(0.1, 0.4, 0.05).tokens(24, 20))
        .model(ModelSpec::new("zai-org/GLM-5.2-TEE").price(0.95, 3.15, 0.475))
        .model(vision)
        .model(
            ModelSpec::new("deepseek-ai/DeepSeek-R1").price(0.3, 1.2, 0.15).state(StateSpec::Cold),
        )
        .model(ModelSpec::new("deepseek-ai/DeepSeek-R1-TEE").price(0.3, 1.2, 0.15))
        .model(
            ModelSpec::new("openai/gpt-oss-20b").price(0.02, 0.1, 0.01).state(StateSpec::Disabled),
        )
}

/// A Pro account in the middle of everything.
pub(crate) fn pro() -> AccountSpec {
    AccountSpec::new("alice", PlanSpec::Pro)
        .anchor("2026-09-14T08:12:45")
        .used_units(1234.3)
        .used_usd(2.5, 42.0)
}

// === impl World ===

impl World {
    /// The catalogue and one account, whose admin key is in the environment.
    pub(crate) fn with(account: AccountSpec) -> Self {
        let name = account.name.clone();
        Self::of(catalogue().account(account)).key(&Scenario::key(&name, 0))
    }

    /// Any scenario, and no key.
    pub(crate) fn of(scenario: Scenario) -> Self {
        let emulator = Emulator::start_on_thread(scenario).unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut world = Self { variables: Vec::new(), home, emulator };
        let url = world.emulator.url();
        world.set("CHUTES_API_URL", &url);
        world.set("CHUTES_LLM_URL", &format!("{url}/v1"));
        world.set("RIPCORD_TEST_NOW", NOW);
        world.set("COLUMNS", "80");
        let home = world.home.path().display().to_string();
        world.set("HOME", &home);
        world.set("PATH", "/usr/bin:/bin");
        world
    }

    /// With this key instead.
    pub(crate) fn key(mut self, key: &str) -> Self {
        self.set("CHUTES_API_KEY", key);
        self
    }

    /// With another variable.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// Without a variable.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self
    }

    /// With Chutes out of reach.
    pub(crate) fn unreachable(self) -> Self {
        self.variable("CHUTES_API_URL", NOBODY).variable("CHUTES_LLM_URL", NOBODY)
    }

    /// With this configuration file.
    pub(crate) fn config(self, text: &str) -> Self {
        let directory = self.home.path().join(".config/ripcord");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("config.toml"), text).unwrap();
        self
    }

    /// The running emulator.
    pub(crate) const fn emulator(&self) -> &Running {
        &self.emulator
    }

    /// The home directory.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The binary with these arguments, times shown in UTC, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ripcord"));
        command
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .args(["--tz", "UTC"])
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary with these arguments, times shown in UTC.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.outcome(self.command(arguments).output().unwrap())
    }

    /// The same, with this piped in.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Outcome {
        use std::io::Write as _;
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that reads nothing may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        self.outcome(child.wait_with_output().unwrap())
    }

    fn outcome(&self, output: std::process::Output) -> Outcome {
        let text = |bytes: Vec<u8>| {
            let home = self.home.path().display().to_string();
            String::from_utf8(bytes)
                .unwrap()
                .replace(&format!(":{}", self.emulator.port()), ":PORT")
                .replace(&home, "HOME")
        };
        Outcome {
            code: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }
}

// === impl Outcome ===

impl Outcome {
    /// Everything that a person and a script see, for a snapshot.
    pub(crate) fn seen(&self) -> String {
        let mut seen = format!("exit {}\n", self.code);
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                seen.push_str(&format!("--- {name}\n{text}"));
            }
        }
        seen
    }

    /// The report, checked against the schema of the reference.
    pub(crate) fn report(&self, command: &str) -> serde_json::Value {
        checked_report(command, &self.stdout)
    }

    /// What stands on stderr under `--json`: objects of this kind (`error` or `warning`), each checked against its
    /// schema, one a line, and nothing that is no JSON.
    pub(crate) fn talk(&self, kind: &str) -> Vec<serde_json::Value> {
        let of_line = |line: &str| {
            let object: serde_json::Value = serde_json::from_str(line)
                .unwrap_or_else(|problem| panic!("{problem} in `{line}`\n{}", self.seen()));
            let schema = object["schema"].as_str().unwrap();
            let own = schema.strip_prefix("ripcord/").unwrap().strip_suffix("/1").unwrap();
            (own == kind).then(|| checked_report(kind, line))
        };
        self.stderr.lines().filter_map(of_line).collect()
    }
}

/// A report, checked against the schema of the reference.
pub(crate) fn checked_report(command: &str, text: &str) -> serde_json::Value {
    let report: serde_json::Value =
        serde_json::from_str(text).unwrap_or_else(|problem| panic!("{command}: {problem}\n{text}"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../../docs/reference/schemas/{command}.json"));
    let schema = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    if let Err(problem) = jsonschema::validate(&schema, &report) {
        panic!("{command}: {problem}\n{text}");
    }
    report
}
