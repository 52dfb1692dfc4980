//! The table that says where to change what.

use super::page::{read, root};

/// The backticked words of a text.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rows of the table below a heading: what is to change, and where.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<(&'a str, &'a str)> {
    let section = page.split_once(heading).map_or("", |(_, rest)| rest);
    let section = section.split_once("\n## ").map_or(section, |(own, _)| own);
    let cells = |line: &'a str| {
        let (what, place) = line.strip_prefix("| ")?.split_once(" | ")?;
        Some((what, place.trim_end_matches('|').trim()))
    };
    // The first two are the heading and its line.
    section.lines().filter_map(cells).skip(2).collect()
}

/// Each path is there, a name alone beside the one before it; each other word stands in the file
/// that was named last.
#[test]
fn what_the_architecture_names_is_there() {
    let page = read("docs/ARCHITECTURE.md");
    let rows = rows(&page, "\n## Where to change what\n");
    assert!(rows.len() >= 30, "{} rows", rows.len());
    for needed in [
        "seed list",
        "hardening flag",
        "status codec",
        "frame type",
        "argument routing",
    ] {
        assert!(
            rows.iter().any(|(what, _)| what.contains(needed)),
            "nothing tells where the {needed} is"
        );
    }
    let mut wrong = Vec::new();
    for (what, place) in rows {
        let mut last = None;
        for word in quoted(place) {
            let is_path = word.contains('/') || std::path::Path::new(word).extension().is_some();
            if is_path {
                let path = match (&last, word.contains('/')) {
                    (Some(last), false) => std::path::Path::new(last).with_file_name(word),
                    _ => word.into(),
                };
                if !root().join(&path).exists() {
                    wrong.push(format!("{what}: there is no {}", path.display()));
                }
                last = Some(path);
            } else {
                let named = last.as_ref().is_some_and(|path| {
                    std::fs::read_to_string(root().join(path)).is_ok_and(|text| text.contains(word))
                });
                if !named {
                    wrong.push(format!("{what}: there is no {word} in {last:?}"));
                }
            }
        }
        if last.is_none() {
            wrong.push(format!("{what}: no path"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
