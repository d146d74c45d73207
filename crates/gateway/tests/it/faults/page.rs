//! `docs/reference/faults.md`: the cases as a table.

use super::case::{Case, Row};
use std::fmt::Write as _;
use std::path::Path;

fn rows() -> Vec<Row> {
    let cases = [
        super::refused::all(),
        super::silent::all(),
        super::broken::all(),
        super::accounts::all(),
        super::elsewhere::all(),
    ];
    let mut rows: Vec<Row> = cases.iter().flatten().flat_map(Case::rows).collect();
    rows.extend(super::leaving::rows());
    rows.extend(super::flapping::rows());
    rows
}

#[test]
fn the_table_of_faults_has_not_drifted() {
    let page = page(&rows());
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/faults.md");
    if std::fs::read_to_string(&kept).unwrap_or_default() != page {
        let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults.md");
        std::fs::write(&new, page).unwrap();
        panic!(
            "docs/reference/faults.md has drifted; if it should, run: cp {} docs/reference/faults.md",
            new.display()
        );
    }
}

fn page(rows: &[Row]) -> String {
    let mut page = String::from(
        "# What happens when something goes wrong\n\n\
         <!-- Written by the test `the_table_of_faults_has_not_drifted`, which says how to write it anew. -->\n\n\
         Every row is a test in `crates/gateway/tests/it/faults`: a gateway before Chutes' emulator, or before a server that\n\
         sends exact bytes. `first`, `second` and `third` are accounts, `first/1` is the second key of the first. \"At once\" is\n\
         without waiting for anything; \"after a pause\" is after a random part of a pause that doubles. Limits and waits are\n\
         shorter in the tests than by default.\n\n\
         | situation | streaming | what the client gets | what the upstream sees |\n|---|---|---|---|\n",
    );
    let mut left = rows;
    while let Some((row, rest)) = left.split_first() {
        left = rest;
        let is_same = |next: &&Row| {
            next.situation == row.situation
                && next.client == row.client
                && next.upstream == row.upstream
        };
        let mut streams = if row.streams { "yes" } else { "no" };
        if rest.first().is_some_and(|next| is_same(&next)) {
            streams = "both";
            left = &rest[1..];
        }
        let Row { situation, client, upstream, .. } = row;
        let _ = writeln!(page, "| {situation} | {streams} | {client} | {upstream} |");
    }
    page
}
