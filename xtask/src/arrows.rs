//! Which crate may use which. An arrow goes down only, never sideways (ARCHITECTURE.md):
//!
//! ```text
//! layer 3        cli
//! layer 2        gateway
//! layer 1        client        store
//! layer 0        wire          rules           (neither knows the other)
//! test double    emulator → wire               (it must not see rules, or it would repeat our mistakes)
//! ```

use crate::project::{Package, Project};
use crate::recipe::Outcome;

struct Room {
    name: &'static str,
    may_use: &'static [&'static str],
    tests_may_also_use: &'static [&'static str],
    why: &'static str,
}

const ROOMS: [Room; 8] = [
    Room {
        name: "ripcord-rules",
        may_use: &[],
        tests_may_also_use: &[],
        why: "decisions stand alone, so that they can be replayed without a runtime",
    },
    Room {
        name: "ripcord-wire",
        may_use: &[],
        tests_may_also_use: &[],
        why: "formats stand alone, so that the emulator can share them without sharing decisions",
    },
    Room {
        name: "ripcord-client",
        may_use: &["ripcord-rules", "ripcord-wire"],
        tests_may_also_use: &["chutes-emulator"],
        why: "it is a library of its own and knows nothing of gateways and ledgers",
    },
    Room {
        name: "ripcord-store",
        may_use: &["ripcord-rules"],
        tests_may_also_use: &[],
        why: "it keeps what it is given and talks to nobody",
    },
    Room {
        name: "ripcord-gateway",
        may_use: &["ripcord-rules", "ripcord-wire", "ripcord-client", "ripcord-store"],
        tests_may_also_use: &["chutes-emulator"],
        why: "it serves without a command line",
    },
    Room {
        name: "ripcord",
        may_use: &[
            "ripcord-rules",
            "ripcord-wire",
            "ripcord-client",
            "ripcord-store",
            "ripcord-gateway",
            "chutes-emulator",
        ],
        tests_may_also_use: &[],
        why: "it is the top",
    },
    Room {
        name: "chutes-emulator",
        may_use: &["ripcord-wire"],
        tests_may_also_use: &[],
        why: "it must not see `ripcord-rules`, or it would repeat our mistakes and agree with them",
    },
    Room {
        name: "xtask",
        may_use: &[],
        tests_may_also_use: &[],
        why: "it starts at once only while it needs nothing of the workspace",
    },
];

/// Crates without I/O, and what would bring it in, however deep below them.
const WITHOUT_IO: [&str; 2] = ["ripcord-rules", "ripcord-wire"];
const IO: [&str; 6] = ["tokio", "mio", "hyper", "rustls", "rusqlite", "async-io"];

pub(crate) fn check(project: &Project) -> Outcome {
    let mut faults = Vec::new();
    let members: Vec<&Package> =
        project.packages.values().filter(|package| package.is_member).collect();
    for member in &members {
        match ROOMS.iter().find(|room| room.name == member.name) {
            Some(room) => faults.extend(forbidden_arrows(project, member, room)),
            None => faults.push(format!(
                "`{}` has no place in the layers: add it to `ROOMS` in xtask/src/arrows.rs and to ARCHITECTURE.md, or make \
                 it a module",
                member.name
            )),
        }
    }
    for room in ROOMS.iter().filter(|room| members.iter().all(|member| member.name != room.name)) {
        faults.push(format!("`{}` is in the layers but not in the workspace", room.name));
    }
    for name in WITHOUT_IO {
        for package in project.build_of(name)? {
            if IO.contains(&package.name.as_str()) {
                faults.push(format!(
                    "`{name}` is built from `{}`, but has to stay free of I/O",
                    package.name
                ));
            }
        }
    }
    if !faults.is_empty() {
        return Err(format!("\n  {}", faults.join("\n  ")));
    }
    println!("{} crates, every arrow goes down", members.len());
    Ok(())
}

fn forbidden_arrows(project: &Project, member: &Package, room: &Room) -> Vec<String> {
    let mut faults = Vec::new();
    for edge in &member.uses {
        let Some(used) = project.packages.get(&edge.id).filter(|package| package.is_member) else {
            continue;
        };
        let name = used.name.as_str();
        let is_test_double = edge.for_tests_only && room.tests_may_also_use.contains(&name);
        if room.may_use.contains(&name) || is_test_double {
            continue;
        }
        let may_use = match room.may_use {
            [] => "no other crate".to_owned(),
            some => format!("only {}", some.join(", ")),
        };
        let kind = if edge.for_tests_only { "its tests use" } else { "it uses" };
        faults.push(format!(
            "`{}` may use {may_use}: {}. But {kind} `{name}`",
            member.name, room.why
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Edge;

    fn project(edges: &[(&str, &str, bool)]) -> Project {
        let mut packages: std::collections::BTreeMap<_, _> =
            ROOMS.iter().map(|room| (room.name.to_owned(), package(room.name, true))).collect();
        packages.insert("tokio".to_owned(), package("tokio", false));
        for (from, to, for_tests_only) in edges {
            packages
                .entry((*from).to_owned())
                .or_insert_with(|| package(from, true))
                .uses
                .push(Edge { id: (*to).to_owned(), for_tests_only: *for_tests_only });
        }
        Project { root: "".into(), target: "".into(), packages }
    }

    fn package(name: &str, is_member: bool) -> Package {
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            licence: None,
            is_member,
            uses: Vec::new(),
        }
    }

    #[test]
    fn arrows_down_are_allowed() {
        let downwards = [
            ("ripcord", "ripcord-gateway", false),
            ("ripcord-gateway", "ripcord-store", false),
            ("ripcord-gateway", "tokio", false),
            ("ripcord-client", "chutes-emulator", true),
            ("ripcord-rules", "tokio", true),
        ];
        assert_eq!(check(&project(&downwards)), Ok(()));
    }

    #[test]
    fn every_other_arrow_is_named() {
        let cases = [
            (("ripcord-store", "ripcord-client", false), "it uses `ripcord-client`"),
            (("ripcord-client", "ripcord-gateway", true), "its tests use `ripcord-gateway`"),
            (("chutes-emulator", "ripcord-rules", true), "its tests use `ripcord-rules`"),
            (("ripcord-gateway", "chutes-emulator", false), "it uses `chutes-emulator`"),
            (("ripcord-rules", "ripcord-wire", false), "may use no other crate"),
            (("ripcord-wire", "tokio", false), "has to stay free of I/O"),
            (("ripcord-utils", "tokio", false), "`ripcord-utils` has no place in the layers"),
        ];
        for (edge, expected) in cases {
            let failure = check(&project(&[edge])).unwrap_err();
            assert!(failure.contains(expected), "{failure}");
        }
    }
}
