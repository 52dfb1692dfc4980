//! `talaria completions` and `talaria man`: what a shell and a reader of manuals want.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell as Generated;

use crate::cli::{CODES, Cli};
use crate::failure::{Failure, Result};

/// Print what a shell needs to complete the command line.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  . <(talaria completions bash)
  talaria completions zsh > ~/.zfunc/_talaria
  talaria completions fish > ~/.config/fish/completions/talaria.fish

{CODES}"))]
pub(crate) struct Completions {
    /// Which shell.
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Print the manual page, or write one for each command into a directory.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria man | man -l -
  talaria man --to ~/.local/share/man/man1

{CODES}"))]
pub(crate) struct Man {
    /// Where to write a page for each command; made where it is missing.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

pub(crate) fn completions(completions: &Completions) -> Result {
    let shell = match completions.shell {
        Shell::Bash => Generated::Bash,
        Shell::Zsh => Generated::Zsh,
        Shell::Fish => Generated::Fish,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "talaria", &mut text);
    print(&text)
}

pub(crate) fn man(man: &Man) -> Result {
    let Some(directory) = &man.to else {
        let mut text = Vec::new();
        let page = clap_mangen::Man::new(Cli::command()).render(&mut text);
        page.map_err(|source| vec![source.into()])?;
        return print(&text);
    };
    let written = std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), directory));
    written.map_err(|source| {
        vec![Failure::File {
            action: "write the pages",
            path: directory.clone(),
            source,
        }]
    })
}

/// All at once, so that a reader that goes away is met here and not inside a generator.
fn print(text: &[u8]) -> Result {
    io::stdout()
        .lock()
        .write_all(text)
        .map_err(|source| vec![source.into()])
}
