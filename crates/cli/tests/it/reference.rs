//! The reference documentation is what the code says.

use std::path::Path;
use std::process::Command;

#[test]
fn the_reference_has_not_drifted() {
    let written = tempfile::tempdir().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_ripcord"))
        .env_clear()
        .args(["reference", "all"])
        .arg(written.path())
        .status()
        .unwrap();
    assert!(status.success());
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    for file in files(written.path()) {
        let new = std::fs::read_to_string(written.path().join(&file)).unwrap();
        let old = std::fs::read_to_string(kept.join(&file)).unwrap_or_default();
        assert!(
            new == old,
            "docs/reference/{file} has drifted; run `cargo run -- reference all docs/reference`"
        );
    }
    assert_eq!(files(written.path()), files(&kept), "files that nothing writes");
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
