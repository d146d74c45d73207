//! Completions and manual pages: made from the same definitions as `--help`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::world::{World, catalogue};

/// Runs a program with this text on its stdin, if the machine has the program.
fn checked_by(program: &str, arguments: &[&str], text: &str) -> Option<std::process::Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

#[test]
fn completions_know_the_commands_of_every_shell() {
    // A broken configuration does not stop it.
    let world = World::of(catalogue()).config("[broken");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = world.run(&["completions", shell]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{shell}");
        for word in ["can-complete", "tokens-in", "wait-for-reset", "four_hour"] {
            // Elvish's script completes no values.
            let expected = word != "four_hour" || !["elvish", "powershell"].contains(&shell);
            assert_eq!(outcome.stdout.contains(word), expected, "{shell}: {word}");
        }
        assert!(!outcome.stdout.contains("schemas"), "{shell}: hidden commands stay hidden");
        if let Some(checked) = checked_by(shell, &["-n"], &outcome.stdout)
            && ["bash", "zsh", "fish"].contains(&shell)
        {
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        }
    }
    let wrong = world.run(&["completions", "tcsh"]);
    assert_eq!(wrong.code, 2, "{}", wrong.seen());
}

#[test]
fn manual_pages_are_printed_and_written() {
    let world = World::of(catalogue()).config("[broken");
    let page = world.run(&["man", "can-complete"]);
    assert_eq!(page.code, 0, "{}", page.seen());
    assert!(page.stdout.contains(".TH ripcord-can-complete 1"), "{}", page.stdout);
    let directory = world.home().join("pages/man1");
    let written = world.run(&["man", "--directory", &directory.display().to_string()]);
    assert_eq!(written.code, 0, "{}", written.seen());
    let pages: Vec<_> = std::fs::read_dir(&directory).unwrap().map(Result::unwrap).collect();
    assert!(pages.iter().any(|page| page.file_name() == "ripcord.1"), "{pages:?}");
    for page in &pages {
        let text = std::fs::read_to_string(page.path()).unwrap();
        if let Some(checked) = checked_by("man", &["--warnings", "-l", "-"], &text) {
            let said = String::from_utf8_lossy(&checked.stderr).into_owned();
            assert!(checked.status.success() && said.is_empty(), "{:?}: {said}", page.path());
        }
    }
    let unknown = world.run(&["man", "can-compleet"]);
    insta::assert_snapshot!(unknown.seen(), @r"
    exit 2
    --- stderr
    error: there is no command `can-compleet`
    hint: did you mean `can-complete`?
    ");
}
