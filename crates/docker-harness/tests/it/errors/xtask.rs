//! `cargo xtask up` and `down`: no engine, and a name that is taken.

use std::process::{Command, Output};

use docker_harness::labels::Run;
use docker_harness::{Failure, on_base};

use super::Table;

/// The tag of this process's own, and with it the names of what `up` makes.
fn tag() -> String {
    format!("errors-{}", Run::this().id)
}

fn xtask(words: &[&str], variables: &[(&str, &str)]) -> Result<Output, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .arg("xtask")
        .args(words)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("TALARIA_TAG", tag())
        .envs(variables.iter().copied());
    Ok(command.output()?)
}

#[test]
fn up_and_down_say_what_is_in_their_way() {
    on_base(async |lab| {
        let mut table = Table::default();
        let tag = format!("-{}", tag());
        table.redact(tag, "");
        let nowhere = [("DOCKER_HOST", "unix:///no/such/docker.sock")];
        for word in ["up", "down"] {
            let said = xtask(&[word], &nowhere)?;
            let typed = format!("DOCKER_HOST={} cargo xtask {word}", nowhere[0].1);
            table.output("no engine", &typed, &said);
        }
        let name = format!("talaria-up-{}", self::tag());
        let labels = Run::this().labels(lab.test());
        let labels = labels
            .iter()
            .map(|(key, value)| format!("--label={key}={value}"));
        let made = Command::new("docker")
            .args(["create", "--name", &name])
            .args(labels)
            .arg(lab.image())
            .output()?;
        assert!(made.status.success(), "{made:?}");
        for word in ["up", "down"] {
            let said = xtask(&[word], &[])?;
            let typed = format!("cargo xtask {word}");
            table.output("somebody else's container has the name", &typed, &said);
        }
        let removed = Command::new("docker").args(["rm", &name]).output()?;
        assert!(removed.status.success(), "{removed:?}");
        insta::assert_snapshot!("xtask", table.text);
        Ok(())
    });
}
