//! Streams, arguments and variables of every size and content.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Stdio};

use docker_harness::{Failure, TestResult};

use super::{Desk, at_desk, json, text, until};

fn with_stdin(desk: &Desk, words: &[&str], input: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let mut child = desk.talaria(words).stdin(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    // Where the command does not read it all, the pipe breaks.
    let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output()?;
    assert!(output.status.success(), "{}", text(&output.stderr));
    writing.join().map_err(|_| "the writer panicked")?;
    Ok(output.stdout)
}

fn ended(child: &mut Child) -> TestResult {
    until("the client has ended", || Ok(child.try_wait()?.is_some()))
}

#[test]
fn bytes_go_through_as_they_are() {
    at_desk(|desk| {
        desk.sandbox("bytes", &[])?;
        let all: Vec<u8> = (0..=255_u8).cycle().take(3_000_001).collect();
        let back = with_stdin(desk, &["exec", "-i", "bytes", "--", "cat"], all.clone())?;
        assert!(
            back == all,
            "{} bytes of {} came back",
            back.len(),
            all.len()
        );
        let count = with_stdin(desk, &["exec", "-i", "bytes", "--", "wc", "-c"], all)?;
        assert_eq!(text(&count).trim(), "3000001");
        // A command that does not read its stdin.
        let none = vec![b'x'; 5_000_000];
        assert_eq!(
            with_stdin(desk, &["exec", "-i", "bytes", "--", "true"], none)?,
            b""
        );

        let words = ["exec", "--json", "bytes", "--shell", r"printf 'a\377\200z'"];
        let told = json(&desk.say(&words)?)?;
        assert_eq!(told["stdout"]["bytes"], 4, "{told}");
        assert_eq!(told["stdout"]["text"], "a\u{fffd}\u{fffd}z", "{told}");

        let document = "cat <<'END'\n$HOME \"quoted\" `not run`\nEND\n";
        let said = desk.says(&["exec", "bytes", "--shell", document])?;
        assert_eq!(said, "$HOME \"quoted\" `not run`");
        Ok(())
    });
}

#[test]
fn a_reader_that_has_read_enough_ends_the_command() {
    at_desk(|desk| {
        desk.sandbox("early", &["--persist"])?;
        let mut child = desk
            .talaria(&["exec", "early", "--", "yes", "early"])
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
        assert_eq!(line, "early\n");
        ended(&mut child)?;
        desk.until_gone("early", "yes early")
    });
}

#[test]
fn a_lot_of_output_comes_whole_on_either_stream() {
    let bytes: u64 = if std::env::var_os("TALARIA_SOAK").is_some_and(|value| value == "1") {
        1_000_000_000
    } else {
        100_000_000
    };
    at_desk(|desk| {
        desk.sandbox("much", &[])?;
        let script = format!("head -c {bytes} /dev/zero >&2; echo done");
        let mut child = desk
            .talaria(&["exec", "much", "--shell", &script])
            .spawn()?;
        let mut errors = child.stderr.take().ok_or("no stderr")?;
        let (mut count, mut piece) = (0, vec![0; 1 << 20]);
        loop {
            match errors.read(&mut piece)? {
                0 => break,
                some => count += u64::try_from(some)?,
            }
        }
        let output = child.wait_with_output()?;
        assert!(output.status.success());
        assert_eq!((count, &output.stdout[..]), (bytes, &b"done\n"[..]));
        Ok(())
    });
}

#[test]
fn a_megabyte_of_arguments_and_ten_thousand_variables_arrive() {
    at_desk(|desk| {
        desk.sandbox("args", &[])?;
        let long = "x".repeat(100_000);
        let mut words = vec![
            "exec",
            "args",
            "--",
            "sh",
            "-c",
            "echo $#; printf %s \"$@\" | wc -c",
        ];
        words.push("sh");
        words.extend(std::iter::repeat_n(long.as_str(), 10));
        let said = desk.says(&words)?;
        assert_eq!(
            said.split_whitespace().collect::<Vec<_>>(),
            ["10", "1000000"]
        );

        let variables: Vec<String> = (0..10_000).map(|n| format!("FAST_{n}=value {n}")).collect();
        let mut words = vec!["exec"];
        for variable in &variables {
            words.extend(["--env", variable]);
        }
        words.extend([
            "args",
            "--",
            "sh",
            "-c",
            "env | grep -c ^FAST_; echo $FAST_9999",
        ]);
        assert_eq!(desk.says(&words)?, "10000\nvalue 9999");

        // A script longer than an argument may be.
        let long = format!("echo {}", "y".repeat(200_000));
        let said = with_stdin(desk, &["exec", "-i", "args", "--", "sh"], long.into_bytes())?;
        assert_eq!(said.len(), 200_001);
        Ok(())
    });
}
