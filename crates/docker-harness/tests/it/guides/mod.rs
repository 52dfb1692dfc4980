//! The guides are run: every command of every page, in order, as a reader would type it.

mod architecture;
mod links;
mod names;
mod page;
mod session;
mod words;

use std::path::{Path, PathBuf};

use docker_harness::engine::skip;
use docker_harness::{TestResult, on_hermes};
use rstest::rstest;

use page::{Block, blocks, pages, read};
use session::Session;

/// Why a block is not run, and by what else it is shown.
const NOT_RUN: [(&str, &str); 3] = [
    ("it runs this test", "cargo xtask test"),
    (
        "an optimised build takes minutes",
        "cargo install --path crates/cli",
    ),
    ("it clones this repository", "git clone"),
];

/// What a block may say of itself.
const ATTRIBUTES: [&str; 6] = ["code", "file", "in", "not-run", "same-as", "settles"];

fn blocks_of(page: &Path) -> Vec<Block> {
    blocks(&read(page)).unwrap_or_else(|why| panic!("{}: {why}", page.display()))
}

/// The page whose commands need the agent on this machine: `shim::guide` runs them.
const WITH_THE_AGENT: &str = "docs/hermes.md";

/// The pages with something to type in them.
fn guides() -> Vec<PathBuf> {
    let types = |page: &PathBuf| blocks_of(page).iter().any(|one| one.language == "console");
    let is_ours = |page: &PathBuf| page != Path::new(WITH_THE_AGENT);
    pages().into_iter().filter(is_ours).filter(types).collect()
}

macro_rules! guides {
    ($($name:ident => $page:literal,)*) => {
        const GUIDES: &[&str] = &[$($page),*];

        #[rstest]
        $(#[case::$name($page)])*
        fn every_command_of_a_guide_does_what_it_shows(#[case] page: &str) {
            walk_through(page);
        }
    };
}

guides! {
    readme => "README.md",
    mcp => "docs/mcp.md",
    operate => "docs/operate.md",
    s6_svc => "docs/s6-svc.md",
    sandbox => "docs/sandbox.md",
    services => "docs/services.md",
    your_agent => "docs/your-agent.md",
}

#[test]
fn no_guide_is_left_out() {
    let found: Vec<_> = guides()
        .into_iter()
        .map(|page| page.display().to_string())
        .collect();
    let mut listed = GUIDES.to_vec();
    listed.sort_unstable();
    assert_eq!(listed, found);
}

#[test]
fn what_is_not_run_has_a_reason_that_is_known_and_few_have_one() {
    for page in guides() {
        for block in blocks_of(&page) {
            let place = format!("{}, line {}", page.display(), block.line);
            let odd = block.attributes().find(|name| !ATTRIBUTES.contains(name));
            assert_eq!(None, odd, "{place}");
            let Some(why) = block.attribute("not-run") else {
                continue;
            };
            let known = NOT_RUN.iter().find(|(reason, _)| *reason == why);
            let (_, command) = known.unwrap_or_else(|| panic!("{place}: {why:?} is no reason"));
            let typed = block.typed().unwrap_or_default();
            assert!(
                typed.len() == 1 && typed[0].command.starts_with(command),
                "{place}: {why:?} is the reason for {command:?} alone"
            );
        }
    }
}

/// Code that a guide shows is compiled where it comes from.
#[test]
fn code_in_a_guide_is_that_of_a_file() {
    let mut compared = 0;
    for page in pages().iter().filter(|page| page.starts_with("docs")) {
        for block in blocks_of(page) {
            let place = format!("{}, line {}", page.display(), block.line);
            if let Some(path) = block.attribute("same-as") {
                compared += 1;
                assert!(
                    read(path).ends_with(&block.text),
                    "{place}: not as in {path}"
                );
            } else {
                assert_ne!("rust", block.language, "{place}: it is compiled nowhere");
            }
        }
    }
    assert!(compared >= 2, "{compared} blocks were compared");
}

fn walk_through(page: &str) {
    on_hermes(async |lab| {
        let Some(mut session) = Session::open(lab)? else {
            skip(lab.test(), "there is no docker command line here");
            return Ok(());
        };
        let blocks = blocks_of(Path::new(page));
        let uses_compose = |block: &Block| block.text.contains("docker compose ");
        if blocks.iter().any(uses_compose) && !session.has_compose() {
            skip(
                lab.test(),
                "neither docker compose nor docker-compose is here",
            );
            return Ok(());
        }
        let done = walk(&mut session, page, &blocks);
        if done.is_err() {
            session.report();
        }
        done
    });
}

fn walk(session: &mut Session, page: &str, blocks: &[Block]) -> TestResult {
    for block in blocks {
        let place = |line: usize| format!("{page}, line {line}");
        if let Some(path) = block.attribute("file") {
            session.write(path, &block.text)?;
        }
        if block.language != "console" || block.attribute("not-run").is_some() {
            continue;
        }
        if block.attribute("in") == Some("checkout") {
            session.go_to(&page::root())?;
        }
        let typed = block
            .typed()
            .map_err(|why| format!("{}: {why}", place(block.line)))?;
        let settles = block.attribute("settles").is_some();
        for (index, one) in typed.iter().enumerate() {
            let last = index + 1 == typed.len();
            let code = block.attribute("code").filter(|_| last).unwrap_or("0");
            session
                .expect(&one.command, &one.shown, code.parse()?, settles)
                .map_err(|why| format!("{}: {why}", place(one.line)))?;
        }
    }
    Ok(())
}
