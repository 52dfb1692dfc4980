//! The names of a guide, and those that stand for them on an engine that others use as well.

use docker_harness::labels::{Creator, Run};

/// What a reader calls theirs begins so.
const MINE: &str = "my-";

/// Names as a guide has them, beside names as they are here.
#[derive(Debug)]
pub(super) struct Names {
    /// After every name that begins with `my-`.
    suffix: String,
    /// Names that are what they are, and what stands for them.
    fixed: Vec<(&'static str, String)>,
}

impl Names {
    pub(super) fn new(suffix: String, fixed: Vec<(&'static str, String)>) -> Self {
        Self { suffix, fixed }
    }

    /// A guide's text as it is run.
    pub(super) fn there(&self, text: &str) -> String {
        let mut text = self.mine(text);
        for (name, stand_in) in &self.fixed {
            text = text.replace(name, stand_in);
        }
        text
    }

    /// What came of it, as a guide has it.
    pub(super) fn back(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, stand_in) in &self.fixed {
            text = text.replace(stand_in.as_str(), name);
        }
        text.replace(&self.suffix, "")
    }

    /// Puts the suffix behind each `my-NAME`.
    fn mine(&self, text: &str) -> String {
        let is_name = |letter: char| letter.is_ascii_lowercase() || letter == '-';
        let mut done = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(MINE) {
            let (before, from) = rest.split_at(at);
            let end = from.find(|letter| !is_name(letter)).unwrap_or(from.len());
            let (name, after) = from.split_at(end);
            let begins =
                !before.ends_with(|letter: char| letter.is_alphanumeric() || letter == '-');
            let suffix = if begins { &*self.suffix } else { "" };
            done = done + before + name + suffix;
            rest = after;
        }
        done + rest
    }
}

/// A suffix of this process's own, that says whose it is.
pub(super) fn suffix(number: u32) -> String {
    let Creator { pid, start } = Run::this().creator;
    format!("-{}x{pid}x{start}x{number}", namespace())
}

/// Whether something with a suffix was made by a process of this namespace that is gone.
pub(super) fn is_left_behind(name: &str) -> bool {
    let creator = || {
        let (_, suffix) = name.rsplit_once('-')?;
        let mut numbers = suffix.split('x');
        (numbers.next()? == namespace()).then_some(())?;
        let pid = numbers.next()?.parse().ok()?;
        let start = numbers.next()?.parse().ok()?;
        Some(Creator { pid, start })
    };
    creator().is_some_and(|creator| matches!(creator.is_alive(), Ok(false)))
}

/// The number of this process's PID namespace.
fn namespace() -> String {
    let namespace = &Run::this().namespace;
    let (_, inode) = namespace.rsplit_once('[').unwrap_or(("", namespace));
    inode.trim_end_matches(']').to_owned()
}

#[test]
fn names_go_there_and_come_back() {
    let fixed = vec![("debian:trixie", "stand-in:1".to_owned())];
    let names = Names::new("-7".to_owned(), fixed);
    let text = "docker run -v my-home:/x --name my-own-agent debian:trixie my-agent_home dummy-x";
    let there = names.there(text);
    assert_eq!(
        "docker run -v my-home-7:/x --name my-own-agent-7 stand-in:1 my-agent-7_home dummy-x",
        there
    );
    assert_eq!(text, names.back(&there));
}

#[test]
fn only_what_a_dead_process_of_this_namespace_made_is_left_behind() {
    let own = format!("my-agent{}", suffix(1));
    assert!(!is_left_behind(&own));
    let dead = own.replace(&format!("x{}x", Run::this().creator.start), "x1x");
    assert!(is_left_behind(&dead));
    assert!(!is_left_behind("my-agent"));
    assert!(!is_left_behind("my-agent-1x2x3x4"));
}
