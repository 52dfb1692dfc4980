//! The five ways to start a container, what goes in, and what comes out.

use std::time::Duration;

use docker_harness::{Failure, Identity, Level, Size, on_base, wait_for};
use rstest::rstest;

use crate::common::{HOME, SOON, light};

#[rstest]
#[case::no_arguments_run_the_agent(&[], "agent\n")]
#[case::a_subcommand_goes_to_the_agent(&["chat", "-q", "hi there"], "agent\n[chat]\n[-q]\n[hi there]\n")]
#[case::a_dash_goes_to_the_agent(&["--version"], "agent\n[--version]\n")]
#[case::what_is_no_program_goes_to_the_agent(&["tell me", "a joke"], "agent\n[tell me]\n[a joke]\n")]
#[case::a_program_runs_as_it_is(&["echo", "-n", "hi"], "hi")]
#[case::a_program_by_path_runs_as_it_is(&["/bin/echo", "hi"], "hi\n")]
#[case::the_old_entrypoint_is_a_prefix(&["/opt/hermes/docker/entrypoint.sh", "chat"], "agent\n[chat]\n")]
#[case::tini_is_a_prefix(&["/usr/bin/tini", "-g", "--", "echo", "hi"], "hi\n")]
fn arguments(#[case] words: &[&str], #[case] output: &str) {
    on_base(async |lab| {
        // A program of the subcommand's name is on PATH, and is not what is meant.
        let files = light().script("/usr/local/bin/chat", "echo the wrong one");
        let ended = lab
            .run(
                lab.container().files(files).command(words.iter().copied()),
                SOON,
            )
            .await?;
        assert_eq!(
            (0, output, ""),
            (ended.code, &*ended.output.out(), &*ended.output.err())
        );
        Ok(())
    });
}

#[test]
fn the_old_entrypoint_and_tini_work_as_entrypoints() {
    on_base(async |lab| {
        for entrypoint in [
            &["/opt/hermes/docker/entrypoint.sh"][..],
            &["/usr/bin/tini", "-g", "--", "/init"],
        ] {
            let spec = lab
                .container()
                .files(light())
                .entrypoint(entrypoint.iter().copied());
            let ended = lab
                .run(
                    spec.command(["sh", "-c", "cat /proc/1/comm; id -u; exit 5"]),
                    SOON,
                )
                .await?;
            assert_eq!(
                (5, "s6-svscan\n10000\n"),
                (ended.code, &*ended.output.out()),
                "{entrypoint:?}"
            );
        }
        Ok(())
    });
}

#[test]
fn bash_reads_its_script_from_stdin() {
    on_base(async |lab| {
        let mut attached = lab
            .attach(lab.container().command(["bash"]).stdin())
            .await?;
        attached.write(b"id -u\nexit 4\n").await?;
        let ended = attached.ended(SOON).await?;
        assert_eq!((4, "10000\n"), (ended.code, &*ended.output.out()));
        Ok(())
    });
}

#[test]
fn sleep_infinity_runs_until_it_is_stopped() {
    on_base(async |lab| {
        let container = lab
            .start(lab.container().command(["sleep", "infinity"]))
            .await?;
        wait_for("it sleeps as hermes", SOON, async || {
            let processes = container.processes().await?;
            let sleeps = processes
                .with_line("sleep infinity")
                .iter()
                .any(|process| process.uid() == 10_000);
            Ok::<_, Failure>(Level::when(sleeps, processes.drawn()))
        })
        .await?;
        container.stop(SOON).await?;
        assert_eq!(143, container.state().await?.exit_code);
        Ok(())
    });
}

#[test]
fn a_dash_on_a_terminal_reaches_the_agent_on_its_terminal() {
    on_base(async |lab| {
        let files = light().script("/opt/light/agent", "echo \"agent [$1] on $(tty)\"; exit 3");
        let spec = lab.container().files(files).command(["--tui"]);
        let mut terminal = lab.terminal(spec).await?;
        let screen = terminal.read_to_end(SOON).await?;
        assert_eq!("agent [--tui] on /dev/pts/0\r\n", screen);
        assert_eq!(3, terminal.container().wait(SOON).await?);
        Ok(())
    });
}

#[rstest]
#[case("exit 0", 0)]
#[case("exit 7", 7)]
#[case("exit 42", 42)]
#[case("exit 255", 255)]
#[case("kill -KILL $$", 137)]
#[case("kill -TERM $$", 143)]
#[case("kill -HUP $$", 129)]
#[case("exit 137", 137)]
fn the_exit_code_comes_out_as_it_went_in(#[case] script: &str, #[case] code: i64) {
    on_base(async |lab| {
        let ended = lab.run(lab.container().shell(script), SOON).await?;
        assert_eq!(
            (code, "", ""),
            (ended.code, &*ended.output.out(), &*ended.output.err())
        );
        Ok(())
    });
}

#[test]
fn the_main_program_is_hermes_at_home() {
    on_base(async |lab| {
        let script = "id -u; id -g; echo $HOME; pwd; grep -E '^(Groups|Cap(Eff|Prm|Inh|Amb))' /proc/self/status | tr -d '\\t '";
        let ended = lab.run(lab.container().shell(script), SOON).await?;
        let none = "0000000000000000";
        let expected = format!(
            "10000\n10000\n{HOME}\n{HOME}\nGroups:\nCapInh:{none}\nCapPrm:{none}\nCapEff:{none}\nCapAmb:{none}\n"
        );
        assert_eq!(
            expected,
            ended
                .output
                .out()
                .replace("CapInh:00000000a80425fb", &format!("CapInh:{none}"))
        );
        Ok(())
    });
}

#[test]
fn the_working_directory_is_kept() {
    on_base(async |lab| {
        let ended = lab
            .run(lab.container().workdir("/usr/share").shell("pwd"), SOON)
            .await?;
        assert_eq!("/usr/share\n", ended.output.out());
        Ok(())
    });
}

#[test]
fn stdin_arrives_whole_beside_a_service_that_reads_it_too() {
    on_base(async |lab| {
        let greedy = docker_harness::Tree::new()
            .directory("/etc/services.d/greedy", 0o755)
            .script(
                "/etc/services.d/greedy/run",
                "cat > /greedy; exec sleep 1000",
            );
        let script = "while ! test -e /greedy; do sleep 0.01; done; cksum";
        let mut attached = lab
            .attach(lab.container().files(greedy).shell(script).stdin())
            .await?;
        let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        attached.write(&bytes).await?;
        attached.close_stdin().await?;
        let ended = attached.ended(SOON).await?;
        let expected = lab
            .attach(lab.container().entrypoint(["cksum"]).stdin())
            .await;
        let mut expected = expected?;
        expected.write(&bytes).await?;
        expected.close_stdin().await?;
        assert_eq!(expected.ended(SOON).await?.output.out(), ended.output.out());
        assert_eq!(0, ended.code);
        Ok(())
    });
}

const SIZE: Size = Size {
    rows: 33,
    columns: 99,
};

#[test]
fn the_terminal_has_the_right_size_and_changes_it() {
    on_base(async |lab| {
        let script =
            "trap 'stty size' WINCH; echo ready; while :; do read line && break; done; stty size";
        let mut terminal = lab
            .terminal(lab.container().shell(script).terminal(SIZE))
            .await?;
        terminal.read_until("ready", SOON).await?;
        terminal
            .resize(Size {
                rows: 12,
                columns: 34,
            })
            .await?;
        terminal.read_until("12 34", SOON).await?;
        terminal.resize(SIZE).await?;
        terminal.read_until("33 99", SOON).await?;
        terminal.write("\r").await?;
        terminal.read_until("33 99", SOON).await?;
        assert_eq!(0, terminal.container().wait(SOON).await?);
        Ok(())
    });
}

#[test]
fn control_c_reaches_the_program_and_not_the_tree() {
    on_base(async |lab| {
        let script = "trap 'echo interrupted' INT; echo ready; while :; do read line && break; done; echo $line";
        let mut terminal = lab.terminal(lab.container().shell(script)).await?;
        terminal.read_until("ready", SOON).await?;
        let before = crate::common::sketch(&terminal.container().processes().await?);
        terminal.write("\x03").await?;
        terminal.read_until("interrupted", SOON).await?;
        assert_eq!(
            before,
            crate::common::sketch(&terminal.container().processes().await?)
        );
        terminal.write("still here\r").await?;
        terminal
            .read_until("still here\r\nstill here\r\n", SOON)
            .await?;
        assert_eq!(0, terminal.container().wait(SOON).await?);
        Ok(())
    });
}

#[test]
fn control_c_ends_a_program_that_does_not_mind_it() {
    on_base(async |lab| {
        let mut terminal = lab
            .terminal(lab.container().shell("echo ready; exec sleep 1000"))
            .await?;
        terminal.read_until("ready", SOON).await?;
        terminal.write("\x03").await?;
        assert_eq!(130, terminal.container().wait(SOON).await?);
        Ok(())
    });
}

/// What readline writes before each prompt.
const PROMPT: &str = "\x1b[?2004h> ";

#[test]
fn bash_controls_its_jobs() {
    on_base(async |lab| {
        let mut terminal = lab
            .terminal(lab.container().command(["bash", "--norc"]))
            .await?;
        terminal.write("PS1='> '; echo $((40 + 2))\r").await?;
        terminal.read_until("\r42\r\n", SOON).await?;
        terminal.read_until(PROMPT, SOON).await?;
        terminal.write("sleep 1234\r").await?;
        wait_for("it sleeps in the foreground", SOON, async || {
            let processes = terminal.container().processes().await?;
            let sleeps = !processes.with_line("sleep 1234").is_empty();
            Ok::<_, Failure>(Level::when(sleeps, processes.drawn()))
        })
        .await?;
        terminal.write("\x1a").await?;
        terminal.read_until("Stopped", SOON).await?;
        terminal.read_until(PROMPT, SOON).await?;
        terminal.write("bg; jobs\r").await?;
        terminal.read_until("Running", SOON).await?;
        terminal.read_until(PROMPT, SOON).await?;
        terminal.write("fg\r").await?;
        terminal.read_until("\rsleep 1234\r\n", SOON).await?;
        terminal.write("\x03").await?;
        terminal.read_until(PROMPT, SOON).await?;
        terminal.write("echo $?; exit 6\r").await?;
        terminal.read_until("\r130\r\n", SOON).await?;
        assert_eq!(6, terminal.container().wait(SOON).await?);
        assert!(
            !terminal.screen().contains("no job control"),
            "{}",
            terminal.screen()
        );
        Ok(())
    });
}

#[test]
fn control_z_on_a_program_that_is_no_shell_hangs_nothing() {
    on_base(async |lab| {
        let script = "echo ready; read line; echo got $line";
        let mut terminal = lab.terminal(lab.container().shell(script)).await?;
        terminal.read_until("ready", SOON).await?;
        terminal.write("\x1a").await?;
        terminal.write("after\r").await?;
        terminal.read_until("got after", SOON).await?;
        assert_eq!(0, terminal.container().wait(SOON).await?);
        Ok(())
    });
}

#[test]
fn the_container_ends_with_its_main_program_whatever_is_left() {
    on_base(async |lab| {
        let script = "setsid sleep 1000 & (sleep 1000 &) ; exit 9";
        let ended = lab
            .run(lab.container().shell(script), Duration::from_secs(10))
            .await?;
        assert_eq!(9, ended.code);
        Ok(())
    });
}

#[test]
fn exec_as_root_finds_a_main_wrapper_that_drops_to_hermes() {
    on_base(async |lab| {
        let container = lab
            .start(lab.container().command(["sleep", "infinity"]))
            .await?;
        let command = [
            "/opt/hermes/docker/main-wrapper.sh",
            "sh",
            "-c",
            "id -u; id -G",
        ];
        let executed = container.exec_as(Identity::Root, command, None).await?;
        assert_eq!(
            (0, "10000\n10000\n"),
            (executed.code, &*executed.stdout),
            "{}",
            executed.stderr
        );
        Ok(())
    });
}
