//! `man`: a page for each command, made from their definitions.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::args::{Cli, ManArgs};
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// What stands at the top of every page.
const MANUAL: &str = "Posthouse";
/// What stands at the bottom.
const SOURCE: &str = concat!("posthouse ", env!("CARGO_PKG_VERSION"));

pub(crate) fn run(args: &ManArgs, output: &mut Output) -> Result<(), Failure> {
    for page in pages()? {
        match &args.dir {
            None => output.text(&page.text)?,
            Some(dir) => write(dir, &page)?,
        }
    }
    Ok(())
}

/// A page.
struct Page {
    /// Such as `posthouse-send.1`.
    name: String,
    text: String,
}

/// The page of the program, and behind it that of each command.
fn pages() -> Result<Vec<Page>, Failure> {
    let mut program = Cli::command().disable_help_subcommand(true);
    // Gives each command the name under which its page is looked up.
    program.build();
    let (mut pages, mut waiting) = (Vec::new(), vec![program]);
    while let Some(command) = waiting.pop() {
        let below: Vec<_> = command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned().collect();
        waiting.extend(below.into_iter().rev());
        pages.push(page(command)?);
    }
    Ok(pages)
}

fn page(command: clap::Command) -> Result<Page, Failure> {
    let man = Man::new(command).manual(MANUAL).source(SOURCE);
    let mut text = Vec::new();
    man.render(&mut text).map_err(|error| {
        Failure::new(Exit::Other, "internal", format!("cannot make {}: {error}", man.get_filename()))
    })?;
    Ok(Page { name: man.get_filename(), text: String::from_utf8_lossy(&text).into_owned() })
}

fn write(dir: &Path, page: &Page) -> Result<(), Failure> {
    let path = dir.join(&page.name);
    fs::create_dir_all(dir).and_then(|()| fs::File::create(&path)?.write_all(page.text.as_bytes())).map_err(
        |error| {
            let message = format!("cannot write {}: {error}; name a folder that is yours", path.display());
            Failure::new(Exit::Other, "man-failed", message)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let pages = pages().unwrap();
        for page in &pages {
            write(&folder.path().join("man1"), page).unwrap();
        }
        let text = |name: &str| fs::read_to_string(folder.path().join("man1").join(name)).unwrap();
        let program = text("posthouse.1");
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(program.contains(&format!("posthouse\\-{name}(1)")), "{program} does not name {name}");
            let page = text(&format!("posthouse-{name}.1"));
            assert!(page.contains("Examples:"), "the page of {name} has no examples");
        }
    }
}
