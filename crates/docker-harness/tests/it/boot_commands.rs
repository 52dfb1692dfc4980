//! The agent's own commands at boot: as hermes, in the home, within their time.

use docker_harness::{Failure, Level, Tree, on_base, on_hermes, wait_for};

use crate::common::{AGENT_TOML, SOON, light, messages, wait_down};

const MARK: &str = r#"#!/bin/sh
echo "$1 $(id -u) $PWD $HOME $(test -d skills && echo seeded)" >> "$HERMES_HOME/marks"
"#;

/// The light agent with these boot commands.
fn with_boot(tables: &str) -> Tree {
    light()
        .file(
            "/etc/talaria/agent.toml",
            0o644,
            format!("{AGENT_TOML}\n{tables}"),
        )
        .file("/opt/light/mark", 0o755, MARK)
}

#[test]
fn a_boot_command_that_is_waited_for_has_run_as_hermes_before_the_main_program() {
    on_base(async |lab| {
        let tables = "[[boot]]\ncommand = [\"/opt/light/mark\", \"one\"]\nwait = true\n\
                      [[boot]]\ncommand = [\"/opt/light/mark\", \"two\"]\nwait = true";
        let spec = lab.container().files(with_boot(tables)).shell("cat marks");
        let ended = lab.run(spec, SOON).await?;
        assert_eq!(
            (
                0,
                "one 10000 /opt/data /opt/data seeded\ntwo 10000 /opt/data /opt/data seeded\n"
            ),
            (ended.code, &*ended.output.out()),
            "{}",
            ended.output.err()
        );
        Ok(())
    });
}

#[test]
fn a_boot_command_that_fails_or_takes_too_long_is_a_warning_with_its_name() {
    on_base(async |lab| {
        let tables = "[[boot]]\ncommand = [\"/bin/sh\", \"-c\", \"exit 7\"]\nwait = true\n\
                      [[boot]]\ncommand = [\"/bin/sh\", \"-c\", \"sleep 1001 & sleep 1000\"]\n\
                      wait = true\ntimeout = 1\n\
                      [[boot]]\ncommand = [\"/no/such\"]\nwait = true";
        let spec = lab
            .container()
            .files(with_boot(tables))
            .shell("grep -la '^sleep' /proc/[0-9]*/cmdline; echo up");
        let ended = lab.run(spec, SOON).await?;
        assert_eq!(
            (0, "up\n"),
            (ended.code, &*ended.output.out()),
            "{}",
            ended.output.err()
        );
        assert_eq!(
            [
                "boot command [\"/bin/sh\", \"-c\", \"exit 7\"]: exited with 7",
                "boot command [\"/bin/sh\", \"-c\", \"sleep 1001 & sleep 1000\"]: killed, it took longer than 1 s",
                "/no/such: command not found",
                "boot command [\"/no/such\"]: exited with 127",
            ],
            *messages(&ended.output.err())
        );
        Ok(())
    });
}

#[test]
fn a_boot_command_in_the_background_keeps_nobody_waiting() {
    on_base(async |lab| {
        let tables = "[[boot]]\ncommand = [\"/bin/sleep\", \"1000\"]\ntimeout = 2\n\
                      [[boot]]\ncommand = [\"/opt/light/mark\", \"later\"]";
        let spec = lab
            .container()
            .files(with_boot(tables))
            .command(["sleep", "infinity"]);
        let container = lab.start(spec).await?;
        wait_down(&container, "gateway-default").await?;
        let later = wait_for(
            "the second one runs once the first was killed",
            SOON,
            async || {
                let marks = container.shell("cat marks").await?;
                Ok::<_, Failure>(Level::when(marks.stdout.starts_with("later 10000"), marks))
            },
        );
        later.await?;
        Ok(())
    });
}

#[test]
fn a_container_that_ends_first_says_nothing_of_them() {
    on_base(async |lab| {
        let tables = "[[boot]]\ncommand = [\"/bin/sleep\", \"1000\"]";
        let spec = lab.container().files(with_boot(tables)).command(["true"]);
        let ended = lab.run(spec, SOON).await?;
        assert_eq!(
            (0, [""; 0].as_slice()),
            (ended.code, &*messages(&ended.output.err()))
        );
        Ok(())
    });
}

#[test]
fn the_agents_own_skills_are_there_after_a_boot() {
    on_hermes(async |lab| {
        let skill = "---\nname: hello\ndescription: Says hello.\n---\nSay hello.\n";
        let files = Tree::new()
            .directory("/opt/bundled", 0o755)
            .directory("/opt/bundled/demo", 0o755)
            .directory("/opt/bundled/demo/hello", 0o755)
            .file("/opt/bundled/demo/hello/SKILL.md", 0o644, skill);
        let spec = lab
            .container()
            .files(files)
            .env("HERMES_BUNDLED_SKILLS", "/opt/bundled")
            .shell("until cat skills/demo/hello/SKILL.md 2> /dev/null; do sleep 0.05; done");
        let ended = lab.run(spec, SOON).await?;
        assert_eq!((0, skill), (ended.code, &*ended.output.out()));
        assert_eq!([""; 0], *messages(&ended.output.err()));
        Ok(())
    });
}
