//! The front page shows what the example does, and the example is compiled.

#[test]
fn the_readme_shows_the_example() {
    let example = include_str!("../examples/run.rs");
    let code = example.split_once("\n\n").map_or("", |(_, code)| code);
    assert!(!code.is_empty());
    let shown = format!("```ignore\n{code}```\n");
    assert!(include_str!("../README.md").contains(&shown));
}
