//! What cargo knows about the project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use crate::program::{cargo, output_of};
use crate::recipe::Outcome;

/// The project: its folders and the packages of its build on this machine.
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: BTreeMap<String, Package>,
}

/// A package, the project's own or another's.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: Option<String>,
    pub(crate) is_member: bool,
    pub(crate) uses: Vec<Edge>,
}

/// One package using another (by cargo's id).
pub(crate) struct Edge {
    pub(crate) id: String,
    pub(crate) for_tests_only: bool,
}

impl Project {
    pub(crate) fn read() -> Outcome<Self> {
        let here =
            std::env::current_dir().map_err(|error| format!("no current folder: {error}"))?;
        let host = host()?;
        let text = output_of(&mut cargo(
            &here,
            &["metadata", "--format-version", "1", "--filter-platform", &host],
        ))?;
        let metadata: Value = serde_json::from_str(&text)
            .map_err(|error| format!("`cargo metadata` is not JSON: {error}"))?;
        Self::from_metadata(&metadata)
            .ok_or_else(|| "`cargo metadata` has a form that xtask does not know".to_owned())
    }

    fn from_metadata(metadata: &Value) -> Option<Self> {
        let members: BTreeSet<&str> =
            metadata["workspace_members"].as_array()?.iter().filter_map(Value::as_str).collect();
        let mut packages = BTreeMap::new();
        for package in metadata["packages"].as_array()? {
            let id = package["id"].as_str()?;
            packages.insert(
                id.to_owned(),
                Package {
                    name: package["name"].as_str()?.to_owned(),
                    version: package["version"].as_str()?.to_owned(),
                    licence: package["license"].as_str().map(str::to_owned),
                    is_member: members.contains(id),
                    uses: Vec::new(),
                },
            );
        }
        for node in metadata["resolve"]["nodes"].as_array()? {
            packages.get_mut(node["id"].as_str()?)?.uses =
                node["deps"].as_array()?.iter().map(edge).collect::<Option<_>>()?;
        }
        Some(Self {
            root: metadata["workspace_root"].as_str()?.into(),
            target: metadata["target_directory"].as_str()?.into(),
            packages,
        })
    }

    /// A package and all that it is built from, tests left out.
    pub(crate) fn build_of(&self, name: &str) -> Outcome<Vec<&Package>> {
        let (first, _) = self
            .packages
            .iter()
            .find(|(_, package)| package.is_member && package.name == name)
            .ok_or_else(|| format!("the workspace has no package `{name}`"))?;
        let mut seen = BTreeSet::from([first.as_str()]);
        let mut to_visit = vec![first.as_str()];
        while let Some(package) = to_visit.pop().and_then(|id| self.packages.get(id)) {
            for edge in package.uses.iter().filter(|edge| !edge.for_tests_only) {
                if seen.insert(&edge.id) {
                    to_visit.push(&edge.id);
                }
            }
        }
        Ok(seen.into_iter().filter_map(|id| self.packages.get(id)).collect())
    }
}

fn edge(dependency: &Value) -> Option<Edge> {
    let kinds = dependency["dep_kinds"].as_array()?;
    Some(Edge {
        id: dependency["pkg"].as_str()?.to_owned(),
        for_tests_only: kinds.iter().all(|kind| kind["kind"] == "dev"),
    })
}

/// The platform that is built for, such as `x86_64-unknown-linux-gnu`.
fn host() -> Outcome<String> {
    let text = output_of(std::process::Command::new("rustc").arg("-vV"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "`rustc -vV` names no host".to_owned())
}
