//! What the program is made of: how many packages, under which licences, with which TLS.
//!
//! The licences that are allowed stand in `deny.toml`, for `cargo deny` and for this check alike.

use std::fs;
use std::path::Path;

use crate::project::{Package, Project};
use crate::recipe::Outcome;

/// The user's first command compiles all of them.
const MOST_PACKAGES: usize = 250;

/// The one TLS implementation, and the others.
const TLS: &str = "ring";
const OTHER_TLS: [&str; 6] =
    ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls", "boring"];

pub(crate) fn check(project: &Project) -> Outcome {
    let allowed = allowed_licences(&project.root)?;
    let mut faults = Vec::new();
    for package in project.packages.values() {
        let named = format!("{} {}", package.name, package.version);
        match &package.licence {
            None => faults.push(format!("{named} names no licence")),
            Some(licence) if !is_allowed(licence, &allowed)? => faults.push(format!(
                "{named} is under `{licence}`, which `deny.toml` does not allow: use another package, or allow the \
                 licence there if it asks nothing of our users"
            )),
            Some(_) => {}
        }
    }
    let build = project.build_of("ripcord")?;
    faults.extend(foreign_tls(&build));
    if build.len() > MOST_PACKAGES {
        faults.push(format!(
            "the default build of `ripcord` has {} packages; more than {MOST_PACKAGES} make the first command too slow",
            build.len()
        ));
    }
    if !faults.is_empty() {
        return Err(format!("\n  {}", faults.join("\n  ")));
    }
    println!(
        "{} packages in the default build of `ripcord` (limit {MOST_PACKAGES}), {} with tests; TLS by {TLS}",
        build.len(),
        project.packages.len()
    );
    Ok(())
}

fn foreign_tls<'a>(build: &'a [&Package]) -> impl Iterator<Item = String> + 'a {
    build.iter().filter(|package| OTHER_TLS.contains(&package.name.as_str())).map(|package| {
        format!(
            "`{}` is in the build, but TLS comes from `{TLS}` alone: switch off the feature that brings it",
            package.name
        )
    })
}

/// The `allow` list under `[licenses]` of `deny.toml`. Only as much TOML as that file needs.
fn allowed_licences(root: &Path) -> Outcome<Vec<String>> {
    let path = root.join("deny.toml");
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let list = text
        .split_once("[licenses]")
        .and_then(|(_, section)| section.split_once("allow = ["))
        .and_then(|(_, list)| list.split_once(']'))
        .ok_or("deny.toml has no `allow = [` under `[licenses]`")?
        .0;
    let without_comments = list.lines().filter_map(|line| line.split('#').next());
    let names = without_comments.flat_map(|line| line.split('"').skip(1).step_by(2));
    Ok(names.map(str::to_owned).collect())
}

/// Whether an SPDX expression can be met with allowed licences alone. `/` is an old way to write `OR`.
fn is_allowed(expression: &str, allowed: &[String]) -> Outcome<bool> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, allowed };
    reader
        .either()
        .filter(|_| reader.words.is_empty())
        .ok_or_else(|| format!("`{expression}` is not a licence expression that xtask can read"))
}

struct Reader<'a> {
    words: &'a [&'a str],
    allowed: &'a [String],
}

impl Reader<'_> {
    fn either(&mut self) -> Option<bool> {
        let mut verdict = self.both()?;
        while self.take("OR") {
            verdict |= self.both()?;
        }
        Some(verdict)
    }

    fn both(&mut self) -> Option<bool> {
        let mut verdict = self.one()?;
        while self.take("AND") {
            verdict &= self.one()?;
        }
        Some(verdict)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let verdict = self.either()?;
            return self.take(")").then_some(verdict);
        }
        let (licence, rest) = self.words.split_first()?;
        if ["OR", "AND", "WITH", ")"].contains(licence) {
            return None;
        }
        self.words = rest;
        let mut name = (*licence).to_owned();
        if self.take("WITH") {
            let (exception, rest) = self.words.split_first()?;
            self.words = rest;
            name = format!("{name} WITH {exception}");
        }
        Some(self.allowed.contains(&name))
    }

    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_expression_is_met_or_not() {
        let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
        let cases = [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("MIT/GPL-3.0-only", true),
            ("MIT AND GPL-3.0-only", false),
            ("(MIT OR GPL-3.0-only) AND Apache-2.0", true),
            ("GPL-3.0-only OR MIT AND Apache-2.0", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("MIT WITH LLVM-exception", false),
        ];
        for (expression, verdict) in cases {
            assert_eq!(is_allowed(expression, &allowed), Ok(verdict), "{expression}");
        }
        for nonsense in ["", "MIT OR", "(MIT", "MIT)", "MIT Apache-2.0", "AND"] {
            assert!(is_allowed(nonsense, &allowed).is_err(), "{nonsense}");
        }
    }
}
