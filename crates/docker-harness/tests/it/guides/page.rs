//! A guide as a page of fenced blocks: what is typed, what is shown for it, and files.
//!
//! A block's info string says more than its language, and is not rendered:
//!
//! * `console` – commands begin with `$ `, what follows a command is its output, in which `...`
//!   stands for anything: as a line for any lines, in a line for any text. Without output shown,
//!   none is compared.
//! * `console code=3` – its last command ends with 3, the others with 0.
//! * `console settles` – its commands only look; they are asked again until they show that.
//! * `console in=checkout` – from the checkout, as all blocks of its page after it.
//! * `console not-run="why"` – not run; the reason is one of a table.
//! * `LANGUAGE file=PATH` – a file that the reader writes.
//! * `LANGUAGE same-as=PATH` – a file of the checkout, word for word, or its end.

use std::path::{Path, PathBuf};

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// Where it begins, counted from 1.
    pub(super) line: usize,
    pub(super) language: String,
    attributes: Vec<(String, String)>,
    pub(super) text: String,
}

/// A command, and what is shown of its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) line: usize,
    pub(super) command: String,
    pub(super) shown: Vec<String>,
}

impl Block {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn attributes(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(|(key, _)| key.as_str())
    }

    /// The commands of a console block.
    pub(super) fn typed(&self) -> Result<Vec<Typed>, String> {
        let mut typed: Vec<Typed> = Vec::new();
        let mut lines = (self.line + 1..).zip(self.text.lines());
        while let Some((line, text)) = lines.next() {
            if let Some(command) = text.strip_prefix("$ ") {
                let mut command = command.to_owned();
                let end = here_document(&command);
                while command.ends_with('\\') || end.is_some() {
                    let (_, more) = lines.next().ok_or(format!("line {line} goes on nowhere"))?;
                    command = format!("{command}\n{more}");
                    if end.as_deref() == Some(more) {
                        break;
                    }
                }
                let shown = Vec::new();
                typed.push(Typed {
                    line,
                    command,
                    shown,
                });
            } else {
                let last = typed.last_mut();
                let last = last.ok_or(format!("line {line}: output of no command"))?;
                last.shown.push(text.to_owned());
            }
        }
        Ok(typed)
    }
}

/// The word that ends what a command line takes from the lines below it.
fn here_document(command: &str) -> Option<String> {
    let (_, word) = command.split_once("<<'")?;
    Some(word.split_once('\'')?.0.to_owned())
}

/// All fenced blocks of a page.
pub(super) fn blocks(markdown: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (line, text) in (1..).zip(markdown.lines()) {
        match (&mut open, text.trim_start().strip_prefix("```")) {
            (None, Some(info)) => {
                let (language, rest) = info.split_once(' ').unwrap_or((info, ""));
                open = Some(Block {
                    line,
                    language: language.to_owned(),
                    attributes: attributes(rest).map_err(|why| format!("line {line}: {why}"))?,
                    text: String::new(),
                });
            }
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some(block), _) => {
                block.text.push_str(text);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    match open {
        Some(block) => Err(format!("line {}: the block does not end", block.line)),
        None => Ok(blocks),
    }
}

/// `word`, `key=value` and `key="some words"`.
fn attributes(mut text: &str) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start();
        if text.is_empty() {
            return Ok(found);
        }
        let end = text.find(['=', ' ']).unwrap_or(text.len());
        let (key, rest) = text.split_at(end);
        let (value, rest) = match rest.strip_prefix('=') {
            None => ("", rest),
            Some(rest) => match rest.strip_prefix('"') {
                Some(quoted) => quoted
                    .split_once('"')
                    .ok_or_else(|| format!("{key}: no closing quotation mark"))?,
                None => rest.split_at(rest.find(' ').unwrap_or(rest.len())),
            },
        };
        found.push((key.to_owned(), value.to_owned()));
        text = rest;
    }
}

/// Whether output is what is shown of it; runs of blanks count as one.
pub(super) fn is_as_shown(shown: &[String], output: &[&str]) -> bool {
    match shown.split_first() {
        None => output.is_empty(),
        Some((line, rest)) if line.trim() == "..." => {
            (0..=output.len()).any(|skipped| is_as_shown(rest, &output[skipped..]))
        }
        Some((line, rest)) => output.split_first().is_some_and(|(first, others)| {
            is_line_as_shown(&blanks(line), &blanks(first)) && is_as_shown(rest, others)
        }),
    }
}

fn blanks(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_line_as_shown(shown: &str, line: &str) -> bool {
    match shown.split_once("...") {
        None => shown == line,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            let mut starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            starts.any(|at| is_line_as_shown(after, &rest[at..]))
        }),
    }
}

/// The workspace.
pub(super) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    here.canonicalize().unwrap_or(here)
}

/// Every page that a reader is led to: the README, docs/, and the crates' own.
pub(super) fn pages() -> Vec<PathBuf> {
    let root = root();
    let list = |directory: PathBuf| {
        let entries = directory.read_dir().into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path()))
    };
    let is_page = |path: &PathBuf| path.extension().is_some_and(|end| end == "md");
    let mut pages: Vec<_> = list(root.clone())
        .chain(list(root.join("docs")))
        .chain(list(root.join("crates")).flat_map(list))
        .filter(is_page)
        .map(|path| path.strip_prefix(&root).unwrap_or(&path).to_owned())
        .collect();
    pages.sort();
    pages
}

/// The text of a page or file of the checkout.
pub(super) fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn commands_go_on_after_a_backslash_and_to_the_end_of_a_here_document() {
        let page = "x\n```console settles code=3 not-run=\"a b\"\n$ a \\\n    b\nout\n...\n\n$ cat <<'END'\n$ c\nEND\n```\n";
        let blocks = blocks(page).unwrap();
        assert_eq!(1, blocks.len());
        let block = &blocks[0];
        assert_eq!((2, "console"), (block.line, &*block.language));
        assert_eq!(Some("3"), block.attribute("code"));
        assert_eq!(Some("a b"), block.attribute("not-run"));
        assert_eq!(Some(""), block.attribute("settles"));
        let typed = block.typed().unwrap();
        let told: Vec<_> = typed
            .iter()
            .map(|one| (one.line, &*one.command, one.shown.join("|")))
            .collect();
        assert_eq!(
            [
                (3, "a \\\n    b", "out|...|".to_owned()),
                (8, "cat <<'END'\n$ c\nEND", String::new()),
            ],
            *told
        );
    }

    #[rstest]
    #[case("```console\nout\n```\n", "line 2: output of no command")]
    #[case("```console\n$ a \\\n```\n", "line 2 goes on nowhere")]
    fn what_is_no_session_is_told(#[case] page: &str, #[case] why: &str) {
        assert_eq!(Err(why.to_owned()), blocks(page).unwrap()[0].typed());
    }

    #[rstest]
    #[case("```console\n$ a\n")]
    #[case("```console not-run=\"a\n```\n")]
    fn what_is_no_page_is_told(#[case] page: &str) {
        assert!(blocks(page).is_err());
    }

    #[rstest]
    #[case(&["a"], &["a"], true)]
    #[case(&["a"], &["b"], false)]
    #[case(&["a"], &["a", "b"], false)]
    #[case(&["a", "b"], &["a"], false)]
    #[case(&["NAME  STATE"], &["NAME\tSTATE"], true)]
    #[case(&["...", "z"], &["a", "b", "z"], true)]
    #[case(&["...", "z"], &["z"], true)]
    #[case(&["...", "z"], &["a", "b"], false)]
    #[case(&["a ... c ..."], &["a b c d"], true)]
    #[case(&["a ... c"], &["a b d"], false)]
    #[case(&["id ...", "..."], &["id 7", "x", "y"], true)]
    fn dots_stand_for_anything(
        #[case] shown: &[&str],
        #[case] output: &[&str],
        #[case] expected: bool,
    ) {
        let shown: Vec<_> = shown.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(expected, is_as_shown(&shown, output));
    }
}
