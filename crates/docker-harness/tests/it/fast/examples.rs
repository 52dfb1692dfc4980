//! The examples that come with the library.

use std::process::Command;

use super::{DEBIAN, at_desk, built, text};

#[test]
fn the_examples_run_a_command_and_show_what_it_writes() {
    at_desk(|desk| {
        let words = [
            "build",
            "-q",
            "-p",
            "sandbox-engine",
            "--features",
            "embedded-agent",
            "--examples",
        ];
        let examples = built(&words).join("examples");
        for example in ["run", "blocking"] {
            let mut command = Command::new(examples.join(example));
            desk.dress(command.args([DEBIAN, "echo", example]));
            let said = command.output()?;
            assert!(said.status.success(), "{}", text(&said.stderr));
            assert!(
                text(&said.stdout).contains(example),
                "{}",
                text(&said.stdout)
            );
        }
        Ok(())
    });
}
