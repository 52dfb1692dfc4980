//! Hooks, static services and the agent's description, where they are wrong.

use docker_harness::variant::Promise;
use docker_harness::{Failure, Level, Tree, on_base, wait_for};
use rstest::rstest;

use crate::common::{AGENT_TOML, HOME, SOON, light, messages, profile, promised, quiet};

/// Says that it ran.
const MAIN: &str = "echo main ran";

#[test]
fn hooks_run_as_root_before_the_main_program_in_c_order() {
    on_base(async |lab| {
        let mut files = Tree::new();
        for name in ["b", "10-two", "09-nine", "9-last", "B", "10-Two", "é"] {
            files = files.script(
                &format!("/etc/cont-init.d/{name}"),
                &format!("echo {name} $(/usr/bin/id -u)"),
            );
        }
        let ended = lab
            .run(lab.container().files(files).shell(MAIN), SOON)
            .await?;
        let expected = "09-nine 0\n10-Two 0\n10-two 0\n9-last 0\nB 0\nb 0\né 0\nmain ran\n";
        assert_eq!(
            (0, expected),
            (ended.code, &*ended.output.out()),
            "{}",
            ended.output.err()
        );
        Ok(())
    });
}

/// What cannot be told to end keeps a container from ending: the init blocks signals for itself, and
/// nothing that it starts may inherit that, nor what a hook leaves behind.
#[test]
fn nothing_that_a_boot_starts_has_a_signal_blocked() {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let toml = format!(
            "{AGENT_TOML}\n[[boot]]\ncommand = [\"/bin/sh\", \"-c\", \"sleep 2001 &\"]\nwait = true\n\
             [[boot]]\ncommand = [\"/bin/sleep\", \"2002\"]\n"
        );
        let files = quiet()
            .and(profile(HOME, 10_000, "coder", "running"))
            .file("/etc/talaria/agent.toml", 0o644, toml)
            .script("/etc/cont-init.d/05-hook", "sleep 2003 &")
            .script("/etc/cont-init.d/50-hook", "setsid sleep 2004 &")
            .directory("/etc/services.d/web", 0o755)
            .script("/etc/services.d/web/run", "exec sleep 2005");
        let container = lab
            .start(lab.container().files(files).command(["sleep", "1000"]))
            .await?;
        let expected = [
            "sleep 1000",
            "sleep 1000000",
            "sleep 2001",
            "sleep 2002",
            "sleep 2003",
            "sleep 2004",
            "sleep 2005",
        ];
        let script = r#"cd /proc; for pid in [0-9]*; do
            line=$(tr '\0' ' ' < $pid/cmdline) && case $line in "sleep "*|"/bin/sleep "*)
                echo "${line##*/}$(grep SigBlk: $pid/status)";; esac; done 2> /dev/null; true"#;
        let seen = wait_for("all of them run", SOON, async || {
            let told = container.exec_root(["sh", "-c", script]).await?.stdout;
            let mut rows: Vec<String> = told.lines().map(|row| row.replace('\t', "")).collect();
            rows.sort_unstable();
            let is_all = rows.len() == expected.len();
            Ok::<_, Failure>(if is_all {
                Level::Holds(rows)
            } else {
                Level::Not(told)
            })
        });
        let open = expected.map(|line| format!("{line} SigBlk:0000000000000000"));
        assert_eq!(open.as_slice(), seen.await?);
        Ok(())
    });
}

/// Hooks that fail, what is said, and the code that a boot that stops for them ends with.
#[rstest]
#[case::exit(0o755, "#!/bin/sh\nexit 9\n", "exited with 9", None, 9)]
#[case::signal(0o755, "#!/bin/sh\nkill -KILL $$\n", "killed by signal 9", None, 137)]
#[case::no_run_bit(
    0o644,
    "#!/bin/sh\nexit 0\n",
    "not executable",
    Some("hint: chmod +x /etc/cont-init.d/50-bad"),
    126
)]
fn a_failing_hook_is_named(
    #[case] mode: u32,
    #[case] hook: &str,
    #[case] why: &str,
    #[case] hint: Option<&str>,
    #[case] code: i64,
) {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let files = Tree::new()
            .file("/etc/cont-init.d/50-bad", mode, hook)
            .script("/etc/cont-init.d/60-good", "echo next hook ran");
        let message = format!("/etc/cont-init.d/50-bad: {why}");
        let mut expected = vec![message.as_str()];
        expected.extend(hint);

        for behaviour in [None, Some("0"), Some("1")] {
            let mut spec = lab.container().files(files.clone()).shell(MAIN);
            if let Some(value) = behaviour {
                spec = spec.env("S6_BEHAVIOUR_IF_STAGE2_FAILS", value);
            }
            let ended = lab.run(spec, SOON).await?;
            assert_eq!(
                (0, "next hook ran\nmain ran\n"),
                (ended.code, &*ended.output.out()),
                "{behaviour:?}"
            );
            assert_eq!(expected, messages(&ended.output.err()), "{behaviour:?}");
        }

        let spec = lab
            .container()
            .files(files)
            .env("S6_BEHAVIOUR_IF_STAGE2_FAILS", "2")
            .shell(MAIN);
        let ended = lab.run(spec, SOON).await?;
        assert_eq!(code, ended.code, "{}", ended.output.err());
        assert!(
            !ended.output.out().contains("main ran"),
            "the main program ran"
        );
        assert_eq!(expected, messages(&ended.output.err()));
        Ok(())
    });
}

#[test]
fn a_hook_that_hermes_could_write_is_not_run() {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let files = Tree::new().file(
            "/etc/cont-init.d/50-his",
            0o755,
            "#!/bin/sh\necho his hook ran\n",
        );
        let ended = lab
            .run(
                lab.container()
                    .files(files.owned_by(10_000, 10_000))
                    .shell(MAIN),
                SOON,
            )
            .await?;
        assert_eq!((0, "main ran\n"), (ended.code, &*ended.output.out()));
        let expected = [
            "/etc/cont-init.d/50-his: can be written by the agent's user: not run as root",
            "hint: let root own it and nobody else write it",
        ];
        assert_eq!(expected, *messages(&ended.output.err()));
        Ok(())
    });
}

/// Static services that cannot run, what is said, and the code of a boot that stops for them.
#[rstest]
#[case::no_run(Tree::new(), "/etc/services.d/bad: has no run program", None, 127)]
#[case::no_run_bit(
    Tree::new().file("/etc/services.d/bad/run", 0o644, "#!/bin/sh\n"),
    "/etc/services.d/bad/run: not executable",
    Some("hint: chmod +x /etc/services.d/bad/run"),
    126
)]
fn a_bad_service_directory_is_named(
    #[case] content: Tree,
    #[case] message: &str,
    #[case] hint: Option<&str>,
    #[case] code: i64,
) {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let files = Tree::new()
            .directory("/etc/services.d/bad", 0o755)
            .and(content)
            .directory("/etc/services.d/good", 0o755)
            .script(
                "/etc/services.d/good/run",
                "echo good ran > /good; exec sleep 1000",
            );
        let mut expected = vec![message];
        expected.extend(hint);
        let script = "while ! test -s /good; do sleep 0.01; done; cat /good";
        let ended = lab
            .run(lab.container().files(files.clone()).shell(script), SOON)
            .await?;
        assert_eq!((0, "good ran\n"), (ended.code, &*ended.output.out()));
        assert_eq!(expected, messages(&ended.output.err()));

        let spec = lab
            .container()
            .files(files)
            .env("S6_BEHAVIOUR_IF_STAGE2_FAILS", "2")
            .shell(MAIN);
        let ended = lab.run(spec, SOON).await?;
        assert_eq!(
            (code, ""),
            (ended.code, &*ended.output.out()),
            "{}",
            ended.output.err()
        );
        assert_eq!(expected, messages(&ended.output.err()));
        Ok(())
    });
}

#[test]
fn services_for_s6_rc_stop_the_boot() {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let files = Tree::new()
            .directory("/etc/s6-overlay", 0o755)
            .directory("/etc/s6-overlay/s6-rc.d", 0o755)
            .directory("/etc/s6-overlay/s6-rc.d/mine", 0o755)
            .file("/etc/s6-overlay/s6-rc.d/mine/type", 0o644, "longrun\n")
            .script("/etc/s6-overlay/s6-rc.d/mine/run", "exec sleep 1000")
            .script("/etc/cont-init.d/00-note", "echo hook ran");
        let ended = lab
            .run(lab.container().files(files).shell(MAIN), SOON)
            .await?;
        assert_eq!((78, ""), (ended.code, &*ended.output.out()));
        let expected = [
            "/etc/s6-overlay/s6-rc.d: s6-rc services are not read by this init: mine",
            "hint: move each service to /etc/services.d/NAME with an executable run program",
        ];
        assert_eq!(expected, *messages(&ended.output.err()));
        Ok(())
    });
}

/// Descriptions of the agent that say nothing usable, and what is said about them.
#[rstest]
#[case::not_toml("name = [\n", "/etc/talaria/agent.toml: ")]
#[case::no_program(
    "name = \"x\"\n",
    "/etc/talaria/agent.toml: line 1: missing field `program`"
)]
#[case::relative_program(
    "name = \"x\"\nprogram = \"bash\"\n",
    "/etc/talaria/agent.toml: program: \"bash\" is not an absolute path"
)]
fn a_corrupt_description_of_the_agent_stops_the_boot(#[case] toml: &str, #[case] message: &str) {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let files = Tree::new()
            .file("/etc/talaria/agent.toml", 0o644, toml)
            .script("/etc/cont-init.d/00-note", "echo hook ran");
        let ended = lab
            .run(lab.container().files(files).shell(MAIN), SOON)
            .await?;
        let err = ended.output.err();
        assert_eq!((78, ""), (ended.code, &*ended.output.out()), "{err}");
        // What follows the name of a file that is no TOML is the parser's.
        let told = messages(&err);
        assert_eq!(2, told.len(), "{err}");
        assert!(told[0].starts_with(message), "{err}");
        let hint = "hint: the image brings the file along, and a mount may hide it: mend it there";
        assert_eq!(hint, told[1]);
        Ok(())
    });
}

#[test]
fn a_missing_description_of_the_agent_stops_the_boot() {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let spec = lab
            .container()
            .tmpfs("/etc/talaria", "rw,size=1m")
            .shell(MAIN);
        let ended = lab.run(spec, SOON).await?;
        assert_eq!(
            (78, ""),
            (ended.code, &*ended.output.out()),
            "{}",
            ended.output.err()
        );
        let err = ended.output.err();
        let told = messages(&err);
        let expected = [
            "/etc/talaria/agent.toml: cannot read /etc/talaria/agent.toml: No such file or directory (os error 2)",
            "hint: it says which program the agent is; the image has one, and a mount may hide it",
        ];
        assert_eq!(expected, *told);
        Ok(())
    });
}

/// Agents that cannot be started.
#[rstest]
#[case::missing(
    None,
    127,
    "/opt/light/agent: there is no agent here",
    Some(
        "hint: /etc/talaria/agent.toml names it; mend that, or name a program of the image to run"
    )
)]
#[case::no_run_bit(
    Some(0o644),
    126,
    "/opt/light/agent: cannot be executed: Permission denied (os error 13)",
    None
)]
fn an_agent_that_cannot_run_is_named(
    #[case] mode: Option<u32>,
    #[case] code: i64,
    #[case] message: &str,
    #[case] hint: Option<&str>,
) {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let toml = "name = \"light\"\nprogram = \"/opt/light/agent\"\nsubcommands = [\"chat\"]\n";
        let mut files = Tree::new()
            .file("/etc/talaria/agent.toml", 0o644, toml)
            .directory("/opt/light", 0o755);
        if let Some(mode) = mode {
            files = files.file("/opt/light/agent", mode, "#!/bin/sh\n");
        }
        let ended = lab
            .run(lab.container().files(files).command(["chat"]), SOON)
            .await?;
        assert_eq!(code, ended.code, "{}", ended.output.err());
        let mut expected = vec![message];
        expected.extend(hint);
        assert_eq!(expected, messages(&ended.output.err()));
        Ok(())
    });
}

/// Programs in the user's command that cannot be started.
#[rstest]
#[case::a_missing_interpreter("/usr/local/bin/odd", 126)]
fn a_command_that_cannot_run_is_named(#[case] program: &str, #[case] code: i64) {
    on_base(async |lab| {
        let files = light().file(program, 0o755, "#!/no/such/interpreter\n");
        let ended = lab
            .run(lab.container().files(files).command([program]), SOON)
            .await?;
        assert_eq!(code, ended.code, "{}", ended.output.err());
        let err = ended.output.err();
        assert!(
            messages(&err).iter().any(|line| line.starts_with(program)),
            "{err}"
        );
        Ok(())
    });
}
