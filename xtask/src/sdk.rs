//! The official OpenAI clients, each with its own language's test runner, and pages in a browser.

use std::process::Command;

use crate::program::run;
use crate::project::Project;
use crate::recipe::Outcome;
use crate::tools::Tools;

pub(crate) fn python(project: &Project, tools: &Tools) -> Outcome {
    let mut command = Command::new(&tools.python);
    command
        .args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider"])
        .arg(project.root.join("sdk-tests/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    run(with_binaries(&mut command, project))
}

pub(crate) fn node(project: &Project, tools: &Tools) -> Outcome {
    let mut command = Command::new(&tools.node);
    // One file after the other: each starts programs of its own, and some tests are about time.
    command
        .args(["--test", "--test-concurrency=1"])
        .env("BROWSER_BINARY", &tools.browser)
        .current_dir(project.root.join("sdk-tests/node"));
    run(with_binaries(&mut command, project))
}

/// Both suites start the same two programs.
fn with_binaries<'a>(command: &'a mut Command, project: &Project) -> &'a mut Command {
    let folder = project.target.join("debug");
    command.env("RIPCORD_BINARY", folder.join("ripcord"));
    command.env("EMULATOR_BINARY", folder.join("chutes-emulator"))
}
