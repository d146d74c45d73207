//! `ripcord man`: manual pages, made from the same definitions as `--help`.

use std::io;
use std::path::Path;

use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::args::{ManArguments, visible_commands};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::printer::text::Text;
use crate::settings::document::nearest;
use crate::settings::environment::{VARIABLES, Variable};

/// The files a user meets, and what is in them.
const FILES: [(&str, &str); 2] = [
    (
        "$XDG_CONFIG_HOME/ripcord/config.toml",
        "The configuration, usually ~/.config/ripcord/config.toml. Every key with its default: ripcord config show.",
    ),
    (
        "$XDG_STATE_HOME/ripcord/ledger.sqlite",
        "What the gateway did, usually below ~/.local/state. No prompts, no answers, no keys.",
    ),
];

/// Prints one page, or writes all of them into a directory.
pub(crate) fn run(arguments: &ManArguments, printer: &Printer) -> Result<Exit, CommandError> {
    let root = root();
    let Some(directory) = &arguments.directory else {
        printer.write(&page(find(&root, &arguments.command)?)?)?;
        return Ok(Exit::Done);
    };
    let mut written = 0;
    write_all(&root, directory, &mut written)?;
    let pages = crate::printer::number::counted(written, "page", "pages");
    printer.talk(Text::new().plain(format!("{pages} in {}", directory.display())));
    Ok(Exit::Done)
}

fn root() -> clap::Command {
    let mut root = visible_commands();
    root.build();
    root
}

/// The command that the words name.
fn find<'c>(root: &'c clap::Command, words: &[String]) -> Result<&'c clap::Command, CommandError> {
    let mut command = root;
    for word in words {
        let Some(next) = command.get_subcommands().find(|next| next.get_name() == word) else {
            let near = nearest(word, command.get_subcommands().map(clap::Command::get_name));
            let error = CommandError::usage(format!("there is no command `{word}`"));
            return Err(match near {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("`ripcord --help` lists every command"),
            });
        };
        command = next;
    }
    Ok(command)
}

fn write_all(
    command: &clap::Command,
    directory: &Path,
    written: &mut u64,
) -> Result<(), CommandError> {
    let name = page_name(command);
    let path = directory.join(format!("{name}.1"));
    let text = page(command)?;
    std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, text)).map_err(
        |problem| CommandError::unknown(format!("could not write {}: {problem}", path.display())),
    )?;
    *written += 1;
    command.get_subcommands().try_for_each(|command| write_all(command, directory, written))
}

fn page_name(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// One page in the language of `man`.
fn page(command: &clap::Command) -> Result<String, CommandError> {
    let text = render(command)
        .map_err(|problem| CommandError::unknown(format!("could not write the page: {problem}")))?;
    Ok(emphasized(&String::from_utf8_lossy(&text)))
}

fn render(command: &clap::Command) -> io::Result<Vec<u8>> {
    let version = env!("CARGO_PKG_VERSION");
    let man =
        Man::new(command.clone()).source(format!("ripcord {version}")).manual("Ripcord Manual");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut more = Roff::new();
    after_help(command, &mut more);
    exit_status(&mut more);
    environment(&mut more);
    files(&mut more);
    see_also(command, &mut more);
    page.extend(more.to_roff().into_bytes());
    Ok(page)
}

/// What stands below the flags in `--help`: a heading that ends in a colon begins a section.
fn after_help(command: &clap::Command, page: &mut Roff) {
    let Some(text) = command.get_after_long_help().or_else(|| command.get_after_help()) else {
        return;
    };
    let mut open = false;
    let mut literal = false;
    for line in text.to_string().lines() {
        let is_example = line.starts_with("  ");
        if literal && !is_example {
            page.control("fi", []);
            page.control("RE", []);
            literal = false;
        }
        if let Some(heading) = line.strip_suffix(':').filter(|_| !is_example) {
            page.control("SH", [heading.to_uppercase().as_str()]);
            open = true;
            continue;
        }
        if !open {
            page.control("SH", ["NOTES"]);
            open = true;
        }
        if is_example && !literal {
            page.control("RS", ["2"]);
            page.control("nf", []);
            literal = true;
        }
        if line.trim().is_empty() {
            page.control("PP", []);
        } else if is_example {
            page.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        } else {
            page.text([roman(line)]);
        }
    }
    if literal {
        page.control("fi", []);
        page.control("RE", []);
    }
}

fn entry(page: &mut Roff, term: Vec<Inline>, meaning: &str) {
    page.control("TP", []);
    page.text(term);
    page.text([roman(meaning)]);
}

fn exit_status(page: &mut Roff) {
    page.control("SH", ["EXIT STATUS"]);
    for (exit, meaning) in Exit::ALL {
        entry(page, vec![bold(exit.code().to_string())], meaning);
    }
}

fn environment(page: &mut Roff) {
    page.control("SH", ["ENVIRONMENT"]);
    for Variable { name, purpose } in VARIABLES {
        entry(page, vec![bold(*name)], purpose);
    }
}

fn files(page: &mut Roff) {
    page.control("SH", ["FILES"]);
    for (path, purpose) in FILES {
        entry(page, vec![italic(path)], purpose);
    }
}

fn see_also(command: &clap::Command, page: &mut Roff) {
    let name = page_name(command);
    let mut others: Vec<Inline> = Vec::new();
    let mut add = |name: &str| {
        if !others.is_empty() {
            others.push(roman(", "));
        }
        others.push(bold(name));
        others.push(roman("(1)"));
    };
    command.get_subcommands().map(page_name).for_each(&mut add);
    if name != "ripcord" {
        add("ripcord");
    }
    page.control("SH", ["SEE ALSO"]);
    page.text(others);
}

/// Words between backticks, as they stand in `--help`, in bold.
fn emphasized(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    for line in page.lines() {
        let pieces: Vec<&str> = line.split('`').collect();
        if pieces.len().is_multiple_of(2) || line.starts_with('.') {
            text.push_str(line);
        } else {
            for (index, piece) in pieces.iter().enumerate() {
                match (index, index % 2) {
                    (0, _) => {}
                    (_, 1) => text.push_str(r"\fB"),
                    _ => text.push_str(r"\fR"),
                }
                text.push_str(piece);
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands<'c>(command: &'c clap::Command, all: &mut Vec<&'c clap::Command>) {
        all.push(command);
        command.get_subcommands().for_each(|command| commands(command, all));
    }

    #[test]
    fn every_command_has_a_whole_page() {
        let root = root();
        let mut all = Vec::new();
        commands(&root, &mut all);
        for command in all {
            let page = page(command).unwrap();
            let name = page_name(command);
            assert!(page.contains(&format!(".TH {name} 1")), "{page}");
            for section in [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "EXIT STATUS",
                "ENVIRONMENT",
                "FILES",
                "SEE ALSO",
            ] {
                let heading = [format!(".SH {section}\n"), format!(".SH \"{section}\"\n")];
                assert!(heading.iter().any(|heading| page.contains(heading)), "{section}: {page}");
            }
            assert!(!page.contains("ripcord-reference"), "hidden commands stay hidden: {page}");
        }
    }

    #[test]
    fn backticks_become_bold() {
        assert_eq!(emphasized("say `this` and `that`"), "say \\fBthis\\fR and \\fBthat\\fR\n");
        assert_eq!(emphasized("a single ` stays"), "a single ` stays\n");
    }
}
