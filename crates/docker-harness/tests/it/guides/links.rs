//! Where links lead.

use std::collections::BTreeSet;
use std::path::Path;

use super::page::{pages, read, root};

/// The text of a page without its fenced blocks, whose brackets are no links.
fn prose(markdown: &str) -> String {
    let mut fenced = false;
    let line = |line: &&str| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    };
    markdown.lines().filter(line).collect::<Vec<_>>().join("\n")
}

/// The targets of `[text](target)`.
fn targets(markdown: &str) -> Vec<String> {
    let prose = prose(markdown);
    let found = prose.split("](").skip(1);
    found
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .collect()
}

/// The anchors of a page, as GitHub and docs.rs make them of its headings.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in prose(markdown).lines() {
        let Some(heading) = line.strip_prefix('#') else {
            continue;
        };
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let slug: String = heading
            .chars()
            .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
            .map(|letter| if letter == ' ' { '-' } else { letter })
            .collect();
        let taken = (1..).map(|again| format!("{slug}-{again}"));
        let free = std::iter::once(slug.clone())
            .chain(taken)
            .find(|name| !anchors.contains(name));
        anchors.extend(free);
    }
    anchors
}

/// What is wrong with a link of a page, if anything.
fn broken(page: &Path, target: &str) -> Option<String> {
    if target.contains("://") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = match path {
        "" => page.to_owned(),
        path => page.parent()?.join(path),
    };
    let whole = root().join(&file);
    if !whole.exists() {
        return Some(format!("{}: {target}: no such file", page.display()));
    }
    let is_page = file.extension().is_some_and(|end| end == "md");
    let found = anchor.is_empty() || is_page && anchors(&read(&file)).contains(anchor);
    (!found).then(|| format!("{}: {target}: no such heading", page.display()))
}

#[test]
fn no_link_is_broken() {
    let mut links = 0;
    let mut broken_ones = Vec::new();
    for page in pages() {
        for target in targets(&read(&page)) {
            links += 1;
            broken_ones.extend(broken(&page, &target));
        }
    }
    assert!(broken_ones.is_empty(), "{broken_ones:#?}");
    assert!(links > 15, "only {links} links were found");
}

#[test]
fn every_guide_is_reached_from_the_readme() {
    let mut reached = BTreeSet::from([Path::new("README.md").to_owned()]);
    let mut next: Vec<_> = reached.iter().cloned().collect();
    while let Some(page) = next.pop() {
        for target in targets(&read(&page)) {
            let path = target.split('#').next().unwrap_or_default();
            let is_page = Path::new(path).extension().is_some_and(|end| end == "md");
            if target.contains("://") || !is_page {
                continue;
            }
            let whole = root()
                .join(page.parent().unwrap_or(Path::new("")))
                .join(path);
            let found = whole.canonicalize().unwrap_or(whole);
            let found = found.strip_prefix(root()).unwrap_or(&found).to_owned();
            if reached.insert(found.clone()) {
                next.push(found);
            }
        }
    }
    let lost: Vec<_> = pages()
        .into_iter()
        .filter(|page| page.starts_with("docs") && !reached.contains(page))
        .collect();
    assert!(lost.is_empty(), "nothing leads to {lost:?}");
}

#[test]
fn links_and_anchors_are_found_as_a_reader_finds_them() {
    let page = "# A b, *c*!\n## A b, c!\n[x](y.md#z) `[a](b)`\n```text\n# no\n[n](o)\n```\n";
    assert_eq!(["y.md#z", "b"], *targets(page));
    let expected = BTreeSet::from(["a-b-c".to_owned(), "a-b-c-1".to_owned()]);
    assert_eq!(expected, anchors(page));
    let here = Path::new("docs/ARCHITECTURE.md");
    assert!(broken(here, "no-such-page.md").is_some());
    assert!(broken(here, "../README.md#no-such-heading").is_some());
    assert!(broken(here, "#the-map").is_none());
}

/// A figure in the README is one that the benchmark printed.
#[test]
fn every_figure_of_the_readme_is_measured() {
    let (readme, benchmarks) = (read("README.md"), read("docs/benchmarks.md"));
    let (_, rest) = readme.split_once("<!-- figures:").expect("they begin");
    let (figures, _) = rest
        .split_once("<!-- end of figures -->")
        .expect("they end");
    let medians: Vec<_> = benchmarks
        .lines()
        .filter_map(|line| line.split('|').nth(3).map(str::trim))
        .collect();
    let words: Vec<_> = figures.split_whitespace().collect();
    let told = words
        .windows(2)
        .filter(|pair| pair[1].trim_end_matches(',') == "ms");
    let told: Vec<_> = told.map(|pair| pair[0]).collect();
    assert!(told.len() >= 20, "{told:?}");
    for figure in told {
        assert!(medians.contains(&figure), "{figure} ms");
    }
}
