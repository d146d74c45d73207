//! What the file only names: a variable or another file that holds the text, so that no secret stands in a configuration
//! that others may read.

use std::fmt;
use std::path::{Path, PathBuf};

use ripcord_gateway::AdminToken;

use super::document::Problem;
use super::environment::{Environment, variables};
use super::origin::{Origin, Sourced};
use super::small_file;

/// Why what is named cannot be used. It stops only what would use it: the variable may be set for the gateway alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedProblem {
    pub(crate) place: Origin,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// The text of the variable or the file that is named; `None` where neither is.
pub(super) fn text_behind(
    named: &Sourced<String>,
    environment: &dyn Environment,
) -> Result<Option<String>, NamedProblem> {
    let problem = |message| NamedProblem { place: named.origin.clone(), message, hint: None };
    if let Some(variable) = named.value.strip_prefix("env:") {
        let text = environment.get(variable.trim()).filter(|text| !text.trim().is_empty());
        let text = text.ok_or_else(|| problem(format!("the variable `{variable}` is not set")))?;
        return Ok(Some(text.trim().to_owned()));
    }
    let Some(path) = path_of(&named.value, environment) else { return Ok(None) };
    let text = small_file::read(&path)
        .map_err(|error| problem(format!("could not read {}: {error}", path.display())))?;
    Ok(Some(text.trim().to_owned()))
}

/// The file that is named, if it is one.
fn path_of(named: &str, environment: &dyn Environment) -> Option<PathBuf> {
    let file = named.strip_prefix("file:")?;
    Some(match (file.strip_prefix("~/"), environment.get(variables::HOME)) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(file),
    })
}

/// Reads where the admin token stands; the token itself is not for a file that is shown to others.
pub(super) fn place_of_token(text: Option<String>) -> Result<Option<String>, String> {
    match text {
        Some(text) if !text.starts_with("env:") && !text.starts_with("file:") => Err(
            "an admin token does not stand in this file; expected \"env:NAME\" or \"file:PATH\""
                .to_owned(),
        ),
        place => Ok(place),
    }
}

/// The admin token that is named, if one is; and a warning if others can read it.
pub(super) fn admin_token(
    named: &Sourced<Option<String>>,
    environment: &dyn Environment,
) -> (Option<Result<AdminToken, NamedProblem>>, Option<String>) {
    let Some(place) = &named.value else { return (None, None) };
    let place = Sourced::new(place.clone(), named.origin.clone());
    let secret = text_behind(&place, environment).and_then(|text| {
        AdminToken::parse(&text.unwrap_or_default()).map_err(|error| NamedProblem {
            place: named.origin.clone(),
            message: format!("`admin_token`: {error}"),
            hint: Some("make one with: openssl rand -hex 32".to_owned()),
        })
    });
    (Some(secret), path_of(&place.value, environment).and_then(|path| open_to_others(&path)))
}

#[cfg(unix)]
fn open_to_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    let place = path.display();
    (mode & 0o044 != 0)
        .then(|| format!("others can read the admin token in {place}; chmod 600 {place}"))
}

#[cfg(not(unix))]
fn open_to_others(_: &Path) -> Option<String> {
    None
}

// === impl NamedProblem ===

impl From<NamedProblem> for Problem {
    fn from(problem: NamedProblem) -> Self {
        let NamedProblem { place, message, hint } = problem;
        Self { place: place.to_string(), message, hint }
    }
}

impl fmt::Display for NamedProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}
