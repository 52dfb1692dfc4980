//! Commands and shells on a terminal.

use super::pty::Pty;
use super::{at_desk, kill, until};

#[test]
fn a_shell_follows_the_size_of_the_terminal_and_ctrl_c_reaches_its_command() {
    at_desk(|desk| {
        desk.sandbox("screen", &["--persist"])?;
        let mut pty = Pty::run(desk, &["shell", "screen"], (31, 97))?;
        pty.types("stty size\n")?;
        pty.shows("31 97")?;
        pty.resize((45, 132))?;
        until("the size has come", || {
            pty.types("echo \"<$(stty size)>\"\n")?;
            Ok(pty.shows("<45 132>").is_ok())
        })?;
        assert!(pty.is_raw()?);
        pty.types("sleep 4040; echo code=$?\n")?;
        until("it runs", || Ok(desk.count("screen", "sleep 4040")? == 1))?;
        pty.types("\x03")?;
        desk.until_gone("screen", "sleep 4040")?;
        pty.types("echo alive; exit 7\n")?;
        assert_eq!(pty.ends()?.code(), Some(7));
        Ok(())
    });
}

#[test]
fn the_terminal_is_given_back_when_the_client_is_told_to_end() {
    at_desk(|desk| {
        desk.sandbox("told", &["--persist"])?;
        for words in [
            &["shell", "told"][..],
            &["exec", "-it", "told", "--", "bash"],
            &["--no-broker", "exec", "-it", "told", "--", "bash"],
        ] {
            let mut pty = Pty::run(desk, words, (24, 80))?;
            pty.types("sleep 4041\n")?;
            until("it runs", || Ok(desk.count("told", "sleep 4041")? == 1))?;
            kill(pty.pid(), "TERM")?;
            assert!(!pty.ends()?.success());
            desk.until_gone("told", "sleep 4041")?;
        }
        Ok(())
    });
}

#[test]
fn the_terminal_is_given_back_when_the_sandbox_vanishes() {
    at_desk(|desk| {
        desk.sandbox("vanish", &["--persist"])?;
        let mut pty = Pty::run(desk, &["exec", "-it", "vanish", "--", "sh"], (24, 80))?;
        pty.types("echo $((6 * 7))\n")?;
        pty.shows("42")?;
        desk.says(&["rm", "--force", "vanish"])?;
        assert!(!pty.ends()?.success());
        pty.shows("talaria: ")?;
        Ok(())
    });
}
