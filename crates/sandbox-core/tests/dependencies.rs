//! The crate stays what it says: nothing that knows an engine, a runtime or system calls.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

#[test]
fn it_pulls_in_no_runtime_no_engine_and_no_system_calls() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name_of: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            (
                package["id"].as_str().unwrap(),
                package["name"].as_str().unwrap(),
            )
        })
        .collect();
    // Normal edges only: what is built into whoever uses the crate.
    let edges: BTreeMap<&str, Vec<&str>> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let normal = |dep: &&Value| {
                let kinds = dep["dep_kinds"].as_array().unwrap();
                kinds.iter().any(|kind| kind["kind"].is_null())
            };
            let deps = node["deps"].as_array().unwrap().iter().filter(normal);
            (
                node["id"].as_str().unwrap(),
                deps.map(|dep| dep["pkg"].as_str().unwrap()).collect(),
            )
        })
        .collect();
    let root = name_of
        .iter()
        .find(|(_, name)| **name == "sandbox-core")
        .unwrap()
        .0;
    let (mut seen, mut next) = (BTreeSet::new(), vec![*root]);
    while let Some(id) = next.pop() {
        if seen.insert(name_of[id]) {
            next.extend(&edges[id]);
        }
    }
    assert!(seen.contains("serde") && seen.contains("sha2"), "{seen:?}");
    for banned in ["tokio", "bollard", "rustix", "nix", "hyper", "clap"] {
        assert!(!seen.contains(banned), "{banned} is pulled in: {seen:?}");
    }
}
