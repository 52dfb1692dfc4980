//! Every `talaria …` that a page speaks of is one of the command line's.

use std::collections::BTreeMap;
use std::process::Command;

use super::page::{blocks, pages, read};
use crate::sandbox::program;

/// What the command line says of a subcommand.
struct Help {
    subcommands: Vec<String>,
    text: String,
}

fn help(path: &[String]) -> Help {
    let asked = Command::new(program())
        .args(path)
        .arg("--help")
        .env_clear()
        .output();
    let asked = asked.unwrap_or_else(|error| panic!("cannot run talaria: {error}"));
    assert!(asked.status.success(), "talaria {path:?} --help");
    let text = String::from_utf8_lossy(&asked.stdout).into_owned();
    let listed = text
        .split_once("\nCommands:\n")
        .map_or("", |(_, list)| list);
    let rows = listed.lines().take_while(|row| !row.is_empty());
    let names = rows.filter_map(|row| {
        let own = row.strip_prefix("  ")?;
        (!own.starts_with(' ')).then(|| own.split_whitespace().next())?
    });
    Help {
        subcommands: names.map(str::to_owned).collect(),
        text,
    }
}

/// What of a command line talaria reads, up to `--` or whatever a shell takes for itself.
fn words(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for rest in text.split("talaria ").skip(1) {
        let plain = |word: &&str| {
            !matches!(*word, "--" | "|" | "&&" | ";" | ">" | "…" | "...")
                && !word.starts_with(['\'', '"', '#'])
        };
        let words = rest.split_whitespace().take_while(plain);
        let trimmed = words.map(|word| word.trim_matches(['(', ')', '[', ']', ',', ';', '`']));
        found.push(trimmed.map(str::to_owned).collect());
    }
    found
}

/// The inline code of a page, and what it has one type.
fn spoken_of(page: &str) -> Vec<String> {
    let mut spoken = Vec::new();
    let mut fenced = false;
    let mut prose = String::new();
    for line in page.lines() {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        if !fence && !fenced {
            prose.push_str(line);
            prose.push(' ');
        }
    }
    spoken.extend(prose.split('`').skip(1).step_by(2).map(str::to_owned));
    let consoles = blocks(page).unwrap_or_default();
    let consoles = consoles.iter().filter(|block| block.language == "console");
    for block in consoles {
        let typed = block.typed().unwrap_or_default();
        spoken.extend(
            typed
                .into_iter()
                .map(|one| one.command.replace("\\\n", " ")),
        );
    }
    let is_ours = |text: &String| {
        text.starts_with("talaria ") || text.contains(" talaria ") || text.contains("(talaria ")
    };
    spoken.retain(is_ours);
    spoken
}

/// What of it the command line does not know.
fn unknown(words: &[String], known: &mut BTreeMap<Vec<String>, Help>) -> Option<String> {
    let mut path: Vec<String> = Vec::new();
    let mut at = 0;
    loop {
        let here = known.entry(path.clone()).or_insert_with(|| help(&path));
        if here.subcommands.is_empty() {
            break;
        }
        let Some(word) = words.get(at) else { break };
        if word.starts_with('-') {
            // A global option before its subcommand; its value, if any, is one word.
            let takes_value = here.text.contains(&format!("{word} <"));
            at += if takes_value { 2 } else { 1 };
            continue;
        }
        // `create|delete` names several; capitals stand for something.
        for name in word.split('|') {
            let stands = name.chars().all(|letter| letter.is_ascii_uppercase());
            if !stands && !here.subcommands.iter().any(|own| own == name) {
                return Some(format!(
                    "{name:?} is no command of talaria {}",
                    path.join(" ")
                ));
            }
        }
        let Some(first) = word.split('|').next().filter(|_| !word.contains('|')) else {
            break;
        };
        path.push(first.to_owned());
        at += 1;
    }
    let here = known.entry(path.clone()).or_insert_with(|| help(&path));
    for word in &words[at.min(words.len())..] {
        let flag = word.split('=').next().unwrap_or_default();
        let long = flag.starts_with("--") && flag.len() > 2;
        let short = flag.len() == 2 && flag.starts_with('-') && flag != "--";
        if (long || short) && !here.text.contains(flag) {
            return Some(format!("{flag} is no option of talaria {}", path.join(" ")));
        }
    }
    None
}

#[test]
fn every_command_and_option_that_is_spoken_of_is_there() {
    let mut known = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for page in pages() {
        for text in spoken_of(&read(&page)) {
            for line in words(&text) {
                looked_at += 1;
                let odd = unknown(&line, &mut known);
                wrong.extend(odd.map(|why| format!("{}: {text:?}: {why}", page.display())));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(looked_at > 50, "only {looked_at} commands were found");
}

#[test]
fn what_is_not_there_is_found() {
    let mut known = BTreeMap::new();
    for (line, is_known) in [
        ("talaria gateway start -p coder --wait=60", true),
        ("talaria profile create|delete|list", true),
        ("talaria sandbox --no-broker exec build -- tool --odd", true),
        ("talaria svc --scandir /run/s6/services list", true),
        ("talaria gateway begin", false),
        ("talaria profile create|destroy", false),
        ("talaria sandbox exec --fast build", false),
        ("talaria status -q", false),
    ] {
        let lines = words(line);
        let odd = unknown(&lines[0], &mut known);
        assert_eq!(is_known, odd.is_none(), "{line}: {odd:?}");
    }
}
