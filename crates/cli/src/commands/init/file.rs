//! The configuration file: created readable by its owner alone, changed without losing a comment, replaced in one step.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ripcord_client::key::Key;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, TableLike, Value};

use crate::error::CommandError;
use crate::settings::small_file;

const HEADER: &str = "\
# Ripcord's settings, written by `ripcord init`. What is not here has its default: `ripcord config show` lists every
# key, docs/reference/configuration.md explains them. This file holds keys: it is for you alone (chmod 600).
";

/// More links than this lead in a circle.
const MOST_LINKS: usize = 40;

/// The file as it was read, and what is to come into it.
#[derive(Debug)]
pub(super) struct Draft {
    /// Where it stands, with symbolic links followed: the file is replaced, not the link.
    path: PathBuf,
    /// What it held; `None` if there was none.
    before: Option<String>,
    /// Whether all that it held goes.
    replace: bool,
    document: DocumentMut,
    additions: Vec<Addition>,
}

/// Keys for one account.
#[derive(Debug)]
struct Addition {
    home: Home,
    keys: Vec<Key>,
}

/// The account that keys go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Home {
    /// One that is configured.
    Known(String),
    /// One that is not. Where another one has the name, a number is added.
    New(String),
}

/// What became of a draft.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) path: PathBuf,
    /// What the account of each addition is called, in their order: another run may have taken a name meanwhile.
    pub(super) names: Vec<String>,
}

// === impl Draft ===

impl Draft {
    /// Reads the file, or begins a new one.
    pub(super) fn open(path: &Path, replace: bool) -> Result<Self, CommandError> {
        let path = followed(path);
        let before = read(&path)?;
        let document = parsed(&path, before.as_deref().filter(|_| !replace))?;
        Ok(Self { path, before, replace, document, additions: Vec::new() })
    }

    /// What the account is called unless another one takes the name before the draft is written.
    pub(super) fn name_of(&self, home: &Home) -> String {
        match home {
            Home::Known(name) => name.clone(),
            Home::New(name) => free_name(name, |name| has_account(&self.document, name)),
        }
    }

    /// Adds keys to an account that is there, or a new account.
    pub(super) fn add(&mut self, home: Home, keys: Vec<Key>) {
        self.additions.push(Addition { home, keys });
    }

    /// Where nothing is to be written: what holds keys becomes its owner's alone all the same.
    pub(super) fn keep_private(&self) {
        let is_open = |data: fs::Metadata| data.permissions().mode() & 0o077 != 0;
        if !keys_held(&self.document).is_empty() && fs::metadata(&self.path).is_ok_and(is_open) {
            // Fails where the file is somebody else's; the warning about it has been given.
            let _ = fs::set_permissions(&self.path, Permissions::from_mode(0o600));
        }
    }

    /// Puts it in place, in one step: at no moment is there half a file, or one that others can read. What others have
    /// written since it was read stays: the additions are made to the file as it is now.
    pub(super) fn write(self) -> Result<Written, CommandError> {
        let Self { path, before, replace, mut document, additions } = self;
        let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
        let directory = directory.unwrap_or_else(|| Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|problem| failed("create", directory, &problem))?;
        let _lock = lock(directory);
        let now = read(&path)?;
        if now != before {
            if replace {
                return Err(changed(&path));
            }
            document = parsed(&path, now.as_deref())?;
        }
        let names = additions.iter().map(|addition| place(&mut document, addition)).collect();
        let beside = directory.join(format!(".config.toml.{}", std::process::id()));
        let written = private_file(&beside, document.to_string().as_bytes())
            .map_err(|problem| failed("write", &path, &problem))
            .and_then(|()| put(&beside, &path, now.as_deref()));
        if written.is_err() {
            // What could not be put in place holds keys.
            let _ = fs::remove_file(&beside);
        }
        written.map(|()| Written { path, names })
    }
}

/// Where a path leads; a link to nothing leads to the file that is to come.
fn followed(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if let Ok(real) = fs::canonicalize(&path) {
            return real;
        }
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().map_or_else(|| target.clone(), |directory| directory.join(&target));
    }
    path
}

fn read(path: &Path) -> Result<Option<String>, CommandError> {
    match small_file::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(problem) => Err(failed("read", path, &problem)),
    }
}

fn parsed(path: &Path, text: Option<&str>) -> Result<DocumentMut, CommandError> {
    let text = text.filter(|text| !text.trim().is_empty()).unwrap_or(HEADER);
    text.parse::<DocumentMut>().map_err(|_| {
        CommandError::usage(format!("{} is not right", path.display()))
            .hint("`ripcord config check` says what is wrong with it")
    })
}

/// Keeps other runs of `init` out while this lives. The directory is locked and not a file in it, since the file is
/// replaced and nothing is to be left behind. Where there are no such locks, [`put`] alone looks for changes.
fn lock(directory: &Path) -> Option<File> {
    let directory = File::open(directory).ok()?;
    directory.lock().ok()?;
    Some(directory)
}

/// Brings keys into the document and returns what their account is called there.
fn place(document: &mut DocumentMut, addition: &Addition) -> String {
    let held = keys_held(document);
    let same = |key: &Key| {
        let id = key.account_id();
        addition.keys.iter().any(|new| new == key || id.is_some() && new.account_id() == id)
    };
    let holder = held.iter().find(|(_, key)| same(key)).map(|(name, _)| name.clone());
    let name = match (&addition.home, holder) {
        (Home::Known(name), _) => name.clone(),
        (Home::New(_), Some(holder)) => holder,
        (Home::New(name), None) => free_name(name, |name| has_account(document, name)),
    };
    let is_new = |key: &&Key| !held.iter().any(|(_, known)| known == *key);
    let keys: Vec<Key> = addition.keys.iter().filter(is_new).cloned().collect();
    if !keys.is_empty() {
        add(document, &name, &keys);
    }
    name
}

/// The name, with the first number that makes it another one where it is taken.
fn free_name(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    std::iter::once(name.to_owned())
        .chain((2_u32..).map(|number| format!("{name}-{number}")))
        .find(|name| !is_taken(name))
        .unwrap_or_else(|| name.to_owned())
}

/// The keys that the file itself holds, each with the name of its account.
fn keys_held(document: &DocumentMut) -> Vec<(String, Key)> {
    let mut held = Vec::new();
    for account in accounts(document) {
        let name = account.get("name").and_then(Item::as_str);
        let keys = account.get("keys").and_then(Item::as_array);
        let (Some(name), Some(keys)) = (name, keys) else { continue };
        let keys = keys.iter().filter_map(|key| Key::parse(key.as_str()?).ok());
        held.extend(keys.map(|(key, _)| (name.to_owned(), key)));
    }
    held
}

fn accounts(document: &DocumentMut) -> Vec<&dyn TableLike> {
    match document.get("accounts") {
        Some(Item::ArrayOfTables(tables)) => {
            tables.iter().map(|table| table as &dyn TableLike).collect()
        }
        Some(Item::Value(Value::Array(tables))) => tables
            .iter()
            .filter_map(|table| Some(table.as_inline_table()? as &dyn TableLike))
            .collect(),
        _ => Vec::new(),
    }
}

fn has_account(document: &DocumentMut, name: &str) -> bool {
    let named = |account: &dyn TableLike| account.get("name").and_then(Item::as_str) == Some(name);
    accounts(document).into_iter().any(named)
}

fn add(document: &mut DocumentMut, name: &str, keys: &[Key]) {
    let end = document.trailing().as_str().unwrap_or_default().to_owned();
    let inline = match document.get("accounts") {
        Some(Item::Value(Value::Array(tables))) => Some(tables.clone()),
        _ => None,
    };
    if let Some(inline) = inline {
        // Written as one list of inline tables, which reads the same.
        let tables = inline.into_iter().filter_map(|table| match table {
            Value::InlineTable(table) => Some(table.into_table()),
            _ => None,
        });
        document.remove("accounts");
        document.insert("accounts", Item::ArrayOfTables(tables.collect()));
    }
    let accounts =
        document.entry("accounts").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
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
            document.set_trailing("");
        }
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
    let Some(before) = before else {
        // A link cannot take the place of a file that has come in between.
        return match fs::hard_link(beside, path) {
            Ok(()) => fs::remove_file(beside).map_err(|problem| failed("write", path, &problem)),
            Err(problem) if problem.kind() == io::ErrorKind::AlreadyExists => Err(changed(path)),
            // Not every file system has links.
            Err(_) if !path.exists() => {
                fs::rename(beside, path).map_err(|problem| failed("write", path, &problem))
            }
            Err(problem) => Err(failed("write", path, &problem)),
        };
    };
    if fs::read_to_string(path).is_ok_and(|now| now != before) {
        return Err(changed(path));
    }
    fs::rename(beside, path).map_err(|problem| failed("write", path, &problem))
}

fn changed(path: &Path) -> CommandError {
    CommandError::unknown(format!("{} was changed meanwhile; nothing was written", path.display()))
        .hint("run `ripcord init` again")
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
        draft.add(Home::Known(name.to_owned()), vec![key(secret)]);
        fs::read_to_string(draft.write().unwrap().path).unwrap()
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

    fn of_account(account: &str, secret: &str) -> Key {
        let text = format!("cpk_{}.{}.{}", "0a".repeat(16), account.repeat(16), secret.repeat(16));
        Key::parse(&text).unwrap().0
    }

    #[test]
    fn what_was_changed_meanwhile_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        for before in [None, Some("[spending]\n")] {
            let _ = fs::remove_file(&path);
            if let Some(text) = before {
                fs::write(&path, text).unwrap();
            }
            let mut draft = Draft::open(&path, false).unwrap();
            draft.add(Home::New("a".to_owned()), vec![key("s1")]);
            fs::write(&path, "# another hand\n").unwrap();
            draft.write().unwrap();
            let after = fs::read_to_string(&path).unwrap();
            assert!(after.starts_with("# another hand\n"), "{after}");
            assert_eq!(after.matches("name = \"a\"").count(), 1, "{after}");
            let draft = Draft::open(&path, true).unwrap();
            fs::write(&path, "# another hand\n").unwrap();
            assert!(draft.write().is_err(), "what is to be replaced was another text");
            assert_eq!(fs::read_to_string(&path).unwrap(), "# another hand\n");
            let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
            assert_eq!(left.len(), 1, "{left:?}");
        }
    }

    #[test]
    fn runs_at_the_same_time_lose_no_key_and_share_no_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        let drafts: Vec<Draft> = [("1a", "s1"), ("2b", "s2"), ("1a", "s3"), ("1a", "s1")]
            .map(|(account, secret)| {
                let mut draft = Draft::open(&path, false).unwrap();
                draft.add(Home::New("main".to_owned()), vec![of_account(account, secret)]);
                draft
            })
            .into();
        let names: Vec<_> = drafts.into_iter().map(|draft| draft.write().unwrap().names).collect();
        assert_eq!(names.concat(), ["main", "main-2", "main", "main"]);
        let document = parsed(&path, read(&path).unwrap().as_deref()).unwrap();
        let held = keys_held(&document);
        let names: Vec<&str> = held.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["main", "main", "main-2"], "{document}");
    }

    #[test]
    fn a_link_to_a_file_that_is_not_there_yet_makes_it() {
        let directory = tempfile::tempdir().unwrap();
        let (link, further) = (directory.path().join("link"), directory.path().join("further"));
        std::os::unix::fs::symlink("further", &link).unwrap();
        std::os::unix::fs::symlink("dotfiles/config.toml", &further).unwrap();
        let mut draft = Draft::open(&link, false).unwrap();
        draft.add(Home::New("a".to_owned()), vec![key("s1")]);
        draft.write().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let real = fs::read_to_string(directory.path().join("dotfiles/config.toml")).unwrap();
        assert!(real.contains("[[accounts]]"), "{real}");
        let circle = directory.path().join("circle");
        std::os::unix::fs::symlink("circle", &circle).unwrap();
        assert!(Draft::open(&circle, false).is_err());
    }

    #[test]
    fn the_file_behind_a_link_is_changed_and_the_link_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real.toml"), directory.path().join("link.toml"));
        fs::write(&real, "# real\n").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mut draft = Draft::open(&link, false).unwrap();
        draft.add(Home::New("a".to_owned()), vec![key("s1")]);
        draft.write().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("[[accounts]]"));
    }
}
