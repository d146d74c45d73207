//! The recipes of `docs/guide/scheduling/`, run as they stand there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use chutes_emulator::Scenario;

use crate::serve::Server;
use crate::world::{World, catalogue, pro};

fn recipe(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/scheduling").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn with_room() -> World {
    // A clock that runs: the gateway has one of its own.
    let mut scenario = catalogue().account(pro());
    scenario.clock_speed = 1.0;
    World::of(scenario).key(&Scenario::key("alice", 0))
}

fn used_up() -> World {
    let mut scenario = catalogue().account(pro().used_usd(8.4, 50.4));
    scenario.clock_speed = 1.0;
    World::of(scenario).key(&Scenario::key("alice", 0))
}

/// Programs that say that they ran, below the home directory of the world, and `ripcord` on the path.
fn programs(world: &World) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = world.home().join("bin");
    std::fs::create_dir_all(&directory).unwrap();
    for name in ["nightly", "leftovers", "poll"] {
        let path = directory.join(name);
        std::fs::write(&path, format!("#!/bin/sh\necho {name} ran\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let ripcord = directory.join("ripcord");
    if !ripcord.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ripcord"), ripcord).unwrap();
    }
    directory
}

/// Runs it with a shell in the environment of the world.
fn shell(world: &World, script: &str, variables: &[(&str, &str)]) -> Output {
    let bin = programs(world);
    let mut command = Command::new("/bin/sh");
    command.env_clear().args(["-c", script]).stdin(Stdio::null());
    for (name, value) in world.command(&[]).get_envs() {
        command.env(name, value.unwrap());
    }
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("TZ", "UTC");
    command.envs(variables.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The commands of the crontab, as cron reads them.
fn cron_commands() -> Vec<String> {
    let table = recipe("crontab");
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines = lines.filter(|line| !line.starts_with("PATH="));
    let command = |line: &str| {
        let fields: Vec<&str> = line.splitn(6, ' ').collect();
        let (times, command) = fields.split_at(5);
        let is_time = |field: &&str| {
            field.bytes().all(|byte| byte.is_ascii_digit() || b"*/-,".contains(&byte))
        };
        assert!(times.iter().all(is_time), "{line}");
        let command = command[0].to_owned();
        assert!(!command.replace("\\%", "").contains('%'), "cron ends the command there: {line}");
        command.replace("\\%", "%")
    };
    lines.map(command).collect()
}

#[test]
fn the_lines_of_the_crontab_run_where_there_is_budget() {
    let commands = cron_commands();
    assert_eq!(commands.len(), 3);
    let (open, closed) = (with_room(), used_up());
    // A Sunday, when there are no leftovers to be used.
    for (command, ran) in commands.iter().zip(["nightly ran\n", "", "poll ran\n"]) {
        let output = shell(&open, command, &[]);
        assert_eq!(text(&output.stdout), ran, "{command}: {}", text(&output.stderr));
        // Nobody waits for hours in a test.
        let impatient = command.replace("--timeout 14400", "--timeout 0");
        let output = shell(&closed, &impatient, &[]);
        assert_eq!(text(&output.stdout), "", "{command}");
        assert!(!output.status.success(), "{command}");
    }
    let monday = open.variable("RIPCORD_TEST_NOW", "2026-09-28T11:13:00Z");
    monday.emulator().control().set_time("2026-09-28T11:13:00Z").unwrap();
    let leftovers = shell(&monday, &commands[1], &[]);
    assert_eq!(text(&leftovers.stdout), "leftovers ran\n", "{}", text(&leftovers.stderr));
}

/// The settings of a unit: section, name, value.
fn settings(unit: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut settings = Vec::new();
    for line in unit.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.to_owned();
        } else {
            let (name, value) = line.split_once('=').unwrap();
            settings.push((section.clone(), name.to_owned(), value.to_owned()));
        }
    }
    settings
}

fn setting(unit: &str, name: &str) -> String {
    let all = settings(unit);
    all.iter().find(|(_, known, _)| known == name).map(|(.., value)| value.clone()).unwrap()
}

#[test]
fn the_units_are_such_as_systemd_takes_and_their_lines_run() {
    let (service, timer) = (recipe("ripcord-nightly.service"), recipe("ripcord-nightly.timer"));
    let sections = |unit: &str| {
        let mut sections: Vec<String> =
            settings(unit).into_iter().map(|(section, ..)| section).collect();
        sections.dedup();
        sections
    };
    assert_eq!(sections(&service), ["Unit", "Service"]);
    assert_eq!(sections(&timer), ["Unit", "Timer", "Install"]);
    let (open, closed) = (with_room(), used_up());
    let run = |world: &World, name: &str| {
        let line = setting(&service, name).replace("/usr/local/bin/", "");
        shell(world, &line.replace("--timeout 3600", "--timeout 0"), &[])
    };
    assert_eq!(run(&open, "ExecCondition").status.code(), Some(0));
    assert_eq!(run(&closed, "ExecCondition").status.code(), Some(1), "skipped");
    let unreachable = with_room().unreachable();
    assert_eq!(run(&unreachable, "ExecCondition").status.code(), Some(3), "skipped, too");
    assert_eq!(text(&run(&open, "ExecStart").stdout), "nightly ran\n");
    let late = run(&closed, "ExecStart").status.code().unwrap().to_string();
    assert_eq!(setting(&service, "SuccessExitStatus"), late);
    verify_with_systemd(
        &open,
        &[("ripcord-nightly.service", &service), ("ripcord-nightly.timer", &timer)],
    );
}

/// What systemd itself says, where it is.
fn verify_with_systemd(world: &World, units: &[(&str, &str)]) {
    let bin = programs(world).display().to_string();
    let directory = world.home().join("units");
    std::fs::create_dir_all(&directory).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]);
    for (name, unit) in units {
        let path = directory.join(name);
        std::fs::write(&path, unit.replace("/usr/local/bin", &bin)).unwrap();
        verify.arg(path);
    }
    let Ok(output) = verify.output() else { return };
    let said = text(&output.stderr);
    let about_ours = said.lines().filter(|line| line.contains("ripcord-nightly"));
    assert_eq!(about_ours.collect::<Vec<_>>(), Vec::<&str>::new(), "{said}");
}

/// A failure where the page says one, in the words of the page.
#[test]
fn a_condition_that_could_not_be_found_out_can_be_a_failure() {
    let page = recipe("README.md");
    let line = page.lines().find_map(|line| line.strip_prefix("ExecCondition=")).unwrap();
    for (world, code) in [(with_room(), 0), (used_up(), 1), (with_room().unreachable(), 255)] {
        assert_eq!(shell(&world, line, &[]).status.code(), Some(code), "{line}");
    }
}

/// The block of the job behind `args:` of the container that waits.
fn gate_script(job: &str) -> String {
    let (_, block) = job.split_once("            - |\n").unwrap();
    let lines =
        block.lines().take_while(|line| line.is_empty() || line.starts_with("              "));
    lines.map(|line| line.trim_start_matches("              ").to_owned() + "\n").collect()
}

#[test]
fn the_job_of_kubernetes_starts_when_the_gateway_says_so() {
    let job = recipe("job.yaml");
    let script = gate_script(&job);
    assert!(script.ends_with("done\n"), "{script}");
    let is_yaml = "import sys, yaml; yaml.safe_load(open(sys.argv[1]))['spec']['template']['spec']['initContainers']";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/scheduling/job.yaml");
    let parsed = Command::new("python3").args(["-c", is_yaml]).arg(path).output();
    if let Ok(parsed) = parsed.map(|output| text(&output.stderr)) {
        assert!(parsed.is_empty() || parsed.contains("No module named"), "{parsed}");
    }
    if Command::new("curl").arg("--version").output().is_err() {
        return;
    }
    let script = script.replace("/tmp/budget.json", "\"$HOME/budget.json\"");
    let gate = |world: &World, script: &str| {
        let server = Server::start(world);
        let url = format!("http://{}", server.address());
        // One refusal is enough to see that it waits.
        let once = script.replace("sleep \"$ASK_AGAIN_SECONDS\"", "echo waits; exit 9");
        let output = shell(world, &once, &[("RIPCORD", &url)]);
        server.signal("TERM");
        server.ended();
        (output.status.code(), text(&output.stdout))
    };
    let open = with_room().without("RIPCORD_TEST_NOW");
    assert_eq!(gate(&open, &script), (Some(0), String::new()));
    let closed = used_up().without("RIPCORD_TEST_NOW");
    assert_eq!(gate(&closed, &script), (Some(9), "waits\n".to_owned()));
    let (code, said) = gate(&open, &script.replace("calls=500", "calls=many"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("calls"), "{said}");
    let nobody = shell(
        &open,
        &script.replace("sleep \"$ASK_AGAIN_SECONDS\"", "exit 9"),
        &[("RIPCORD", "http://127.0.0.1:1")],
    );
    assert_eq!(nobody.status.code(), Some(9), "{}", text(&nobody.stderr));
}

/// As much of Airflow as the sensor touches.
const AIRFLOW: &str = "
import logging, sys, types
def module(name, **content):
    made = types.ModuleType(name)
    made.__dict__.update(content)
    sys.modules[name] = made
class AirflowFailException(Exception): pass
class BaseSensorOperator:
    def __init__(self, *, task_id, mode='poke', **others):
        self.task_id, self.mode, self.others = task_id, mode, others
        self.log = logging.getLogger(task_id)
module('airflow'); module('airflow.exceptions', AirflowFailException=AirflowFailException)
module('airflow.sensors'); module('airflow.sensors.base', BaseSensorOperator=BaseSensorOperator)
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s')
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from ripcord_sensor import RipcordBudgetSensor
sensor = RipcordBudgetSensor(task_id='budget', gateway=sys.argv[2], poke_interval=60, **eval(sys.argv[3]))
assert sensor.mode == 'reschedule' and sensor.others == {'poke_interval': 60}
try:
    print(sensor.poke({}))
except Exception as problem:
    print(type(problem).__name__, problem)
";

#[test]
fn the_sensor_of_airflow_pokes_the_gateway() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/scheduling");
    let poke = |gateway: &str, asked: &str| {
        let mut python = Command::new("python3");
        python.args(["-c", AIRFLOW]).arg(&directory).arg(format!("http://{gateway}")).arg(asked);
        let output = python.output().ok()?;
        assert!(output.status.success(), "{}", text(&output.stderr));
        Some(text(&output.stdout))
    };
    let open = with_room().without("RIPCORD_TEST_NOW");
    let server = Server::start(&open);
    let Some(said) = poke(server.address(), "{'calls': 500}") else { return };
    assert_eq!(said, "True\n");
    let too_many = poke(server.address(), "{'calls': 4000}").unwrap();
    assert!(too_many.starts_with("no budget yet; asking again makes sense in "), "{too_many}");
    assert!(too_many.ends_with(" s\nFalse\n"), "{too_many}");
    let wrong = poke(server.address(), "{'calls': 5, 'model': 'no/such'}").unwrap();
    assert!(wrong.starts_with("AirflowFailException "), "{wrong}");
    server.signal("TERM");
    server.ended();
    let nobody = poke("127.0.0.1:1", "{}").unwrap();
    assert!(nobody.starts_with("URLError "), "{nobody}");
}
