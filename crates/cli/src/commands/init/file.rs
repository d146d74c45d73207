//! The configuration file: created readable by its owner alone, changed without losing a comment, replaced in one step.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ripcord_client::key::Key;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value};

use crate::error::CommandError;

const HEADER: &str = "\
# Ripcord's settings, written by `ripcord init`. What is not here has its default: `ripcord config show` lists every
# key, docs/reference/configuration.md explains them. This file holds keys: it is for you alone (chmod 600).
";

/// The file as it was read, and what it is to become.
#[derive(Debug)]
pub(super) struct Draft {
    /// Where it stands, with symbolic links followed: the file is replaced, not the link.
    path: PathBuf,
    /// What it held; `None` if there was none.
    before: Option<String>,
    document: DocumentMut,
}

// === impl Draft ===

impl Draft {
    /// Reads the file, or begins a new one.
    pub(super) fn open(path: &Path, replace: bool) -> Result<Self, CommandError> {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let before = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => None,
            Err(problem) => return Err(failed("read", &path, &problem)),
        };
        let kept = if replace { None } else { before.as_deref() };
        let text = kept.filter(|text| !text.trim().is_empty()).unwrap_or(HEADER);
        let document = text.parse::<DocumentMut>().map_err(|_| {
            CommandError::usage(format!("{} is not right", path.display()))
                .hint("`ripcord config check` says what is wrong with it")
        })?;
        Ok(Self { path, before, document })
    }

    /// Whether an account is called so.
    pub(super) fn has_account(&self, name: &str) -> bool {
        match self.document.get("accounts") {
            Some(Item::ArrayOfTables(tables)) => tables.iter().any(|table| is_called(table, name)),
            Some(Item::Value(Value::Array(tables))) => tables.iter().any(|table| {
                table.as_inline_table().and_then(|table| table.get("name")).and_then(Value::as_str)
                    == Some(name)
            }),
            _ => false,
        }
    }

    /// Adds keys to an account that is there, or a new account.
    pub(super) fn add(&mut self, name: &str, keys: &[Key]) {
        let end = self.document.trailing().as_str().unwrap_or_default().to_owned();
        let inline = match self.document.get("accounts") {
            Some(Item::Value(Value::Array(tables))) => Some(tables.clone()),
            _ => None,
        };
        if let Some(inline) = inline {
            // Written as one list of inline tables, which reads the same.
            let tables = inline.into_iter().filter_map(|table| match table {
                Value::InlineTable(table) => Some(table.into_table()),
                _ => None,
            });
            self.document.remove("accounts");
            self.document.insert("accounts", Item::ArrayOfTables(tables.collect()));
        }
        let accounts = self
            .document
            .entry("accounts")
            .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        let Item::ArrayOfTables(tables) = accounts else { return };
        let found = tables.iter_mut().find(|table| is_called(table, name));
        match found {
            Some(table) => {
                let item = table.entry("keys").or_insert(Item::Value(Value::Array(Array::new())));
                if let Some(list) = item.as_array_mut() {
                    list.extend(keys.iter().map(Key::expose));
                }
            }
            None => {
                let mut table = Table::new();
                table.insert("name", toml_edit::value(name));
                let list: Array = keys.iter().map(Key::expose).collect();
                table.insert("keys", toml_edit::value(list));
                // What stands at the end of the file stays where it is.
                table.decor_mut().set_prefix(format!("{end}\n"));
                tables.push(table);
                self.document.set_trailing("");
            }
        }
    }

    /// Puts it in place, in one step: at no moment is there half a file, or one that others can read.
    pub(super) fn write(self) -> Result<PathBuf, CommandError> {
        let Self { path, before, document } = self;
        let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
        let directory = directory.unwrap_or_else(|| Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|problem| failed("create", directory, &problem))?;
        let beside = directory.join(format!(".config.toml.{}", std::process::id()));
        let written = private_file(&beside, document.to_string().as_bytes())
            .map_err(|problem| failed("write", &path, &problem))
            .and_then(|()| put(&beside, &path, before.as_deref()));
        if written.is_err() {
            // What could not be put in place holds keys.
            let _ = fs::remove_file(&beside);
        }
        written.map(|()| path)
    }
}

fn is_called(table: &Table, name: &str) -> bool {
    table.get("name").and_then(Item::as_str) == Some(name)
}

fn private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn put(beside: &Path, path: &Path, before: Option<&str>) -> Result<(), CommandError> {
    let changed = || {
        CommandError::usage(format!(
            "{} was changed meanwhile; nothing was written",
            path.display()
        ))
        .hint("run `ripcord init` again")
    };
    let Some(before) = before else {
        // A link cannot take the place of a file that has come in between.
        return match fs::hard_link(beside, path) {
            Ok(()) => fs::remove_file(beside).map_err(|problem| failed("write", path, &problem)),
            Err(problem) if problem.kind() == io::ErrorKind::AlreadyExists => Err(changed()),
            // Not every file system has links.
            Err(_) if !path.exists() => {
                fs::rename(beside, path).map_err(|problem| failed("write", path, &problem))
            }
            Err(problem) => Err(failed("write", path, &problem)),
        };
    };
    if fs::read_to_string(path).is_ok_and(|now| now != before) {
        return Err(changed());
    }
    fs::rename(beside, path).map_err(|problem| failed("write", path, &problem))
}

fn failed(what: &str, path: &Path, problem: &io::Error) -> CommandError {
    CommandError::usage(format!("could not {what} {}: {problem}", path.display()))
        .hint("`--config FILE` names another file")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> Key {
        let text = format!("cpk_{}.{}.{}", "0a".repeat(16), "0b".repeat(16), secret.repeat(16));
        Key::parse(&text).unwrap().0
    }

    fn changed(before: &str, name: &str, secret: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        fs::write(&path, before).unwrap();
        let mut draft = Draft::open(&path, false).unwrap();
        draft.add(name, &[key(secret)]);
        fs::read_to_string(draft.write().unwrap()).unwrap()
    }

    #[test]
    fn an_account_is_added_and_every_comment_stays() {
        let before = "# mine\n[spending]\npaygo = \"never\" # really\n\n[[accounts]]\nname = \"a\" # first\nkeys = [\"cpk_x\"]\n# the end\n";
        let after = changed(before, "b", "s1");
        assert!(after.starts_with(before), "{after}");
        assert!(after.contains("\n[[accounts]]\nname = \"b\"\nkeys = [\"cpk_0a"), "{after}");
        let after = changed(before, "a", "s2");
        assert!(after.contains("keys = [\"cpk_x\", \"cpk_0a"), "{after}");
        assert_eq!(after.matches("[[accounts]]").count(), 1, "{after}");
    }

    #[test]
    fn accounts_in_other_shapes_take_keys_too() {
        let before = "accounts = [{ name = \"a\", keys = [] }]\n[spending]\npaygo = \"never\"\n";
        let inline = changed(before, "b", "s1");
        assert_eq!(inline.matches("[[accounts]]").count(), 2, "{inline}");
        let read = inline.parse::<DocumentMut>().unwrap();
        assert_eq!(
            read["accounts"].as_array_of_tables().map(ArrayOfTables::len),
            Some(2),
            "{inline}"
        );
        assert_eq!(read["spending"]["paygo"].as_str(), Some("never"), "{inline}");
        let by_variable = changed("[[accounts]]\nname = \"a\"\nkey_env = [\"X\"]\n", "a", "s1");
        assert!(by_variable.contains("key_env = [\"X\"]\nkeys = [\"cpk_"), "{by_variable}");
    }

    #[test]
    fn what_was_changed_meanwhile_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        for before in [None, Some("[spending]\n")] {
            if let Some(text) = before {
                fs::write(&path, text).unwrap();
            }
            let mut draft = Draft::open(&path, false).unwrap();
            draft.add("a", &[key("s1")]);
            fs::write(&path, "# another hand\n").unwrap();
            assert!(draft.write().is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), "# another hand\n");
            let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
            assert_eq!(left.len(), 1, "{left:?}");
        }
    }

    #[test]
    fn the_file_behind_a_link_is_changed_and_the_link_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real.toml"), directory.path().join("link.toml"));
        fs::write(&real, "# real\n").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mut draft = Draft::open(&link, false).unwrap();
        draft.add("a", &[key("s1")]);
        draft.write().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("[[accounts]]"));
    }
}
