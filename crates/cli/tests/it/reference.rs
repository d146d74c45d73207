//! The reference documentation is what the code says.

use std::path::Path;
use std::process::Command;

#[test]
fn the_reference_has_not_drifted() {
    let (mut kept, written) = compare("all", "docs/reference");
    // Written by tests of their own, since they show what happens.
    kept.retain(|file| file != "situations.md" && file != "faults.md");
    assert_eq!(written, kept, "files that nothing writes");
}

#[test]
fn the_pages_of_clients_have_not_drifted_and_are_listed() {
    let (kept, written) = compare("guide", "docs/guide");
    let index = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/README.md");
    let index = std::fs::read_to_string(index).unwrap();
    // Pages that are written by hand, too: what is not listed nobody finds.
    // `scheduling/` has an index of its own.
    let is_page = |page: &&String| *page != "README.md" && !page.starts_with("scheduling/");
    assert!(index.contains("](scheduling/)"));
    for page in kept.iter().filter(is_page) {
        assert!(index.contains(&format!("]({page})")), "docs/guide/README.md lacks {page}");
    }
    assert!(written.iter().all(|page| kept.contains(page)));
}

/// Writes a part anew and compares it with what is kept; the files that are kept, and those that were written.
fn compare(part: &str, directory: &str) -> (Vec<String>, Vec<String>) {
    let written = tempfile::tempdir().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_ripcord"))
        .env_clear()
        .args(["reference", part])
        .arg(written.path())
        .status()
        .unwrap();
    assert!(status.success());
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(directory);
    for file in files(written.path()) {
        let new = std::fs::read_to_string(written.path().join(&file)).unwrap();
        let old = std::fs::read_to_string(kept.join(&file)).unwrap_or_default();
        assert!(
            new == old,
            "{directory}/{file} has drifted; run `cargo run -- reference {part} {directory}`"
        );
    }
    (files(&kept), files(written.path()))
}

fn files(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            names.extend(files(&entry.path()).into_iter().map(|inner| format!("{name}/{inner}")));
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}
