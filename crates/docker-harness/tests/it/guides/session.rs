//! A reader's terminal: a shell that lives as long as a guide, in a home of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use docker_harness::labels::Run;
use docker_harness::{Failure, Lab, TestResult};

use super::names::{Names, is_left_behind, suffix};
use super::page::is_as_shown;
use crate::sandbox::{DEBIAN, program};

/// How long one command may take: a build of an image, on two busy cores.
const PATIENCE: Duration = Duration::from_mins(8);
/// How long what settles may take to.
const SETTLED: Duration = Duration::from_mins(3);
/// Between two looks at what settles.
const PAUSE: &str = "0.3";
/// Stands alone on a line before a command's exit code.
const END: &str = "-- end of command --";

/// The docker of a session: what it makes carries the test's labels, and `docker compose` is the
/// Compose that is here.
const DOCKER: &str = r#"#!/bin/bash
real=$(PATH=${PATH#*:} command -v docker)
case $1 in
    run | create) exec "$real" "$1" "${LABELS[@]}" "${@:2}" ;;
    compose) "$real" compose version > /dev/null 2>&1 || exec docker-compose "${@:2}" ;;
esac
exec "$real" "$@"
"#;

/// A shell, and what it was told so far.
pub(super) struct Session {
    shell: Child,
    input: ChildStdin,
    output: Receiver<String>,
    names: Names,
    suffix: String,
    scratch: PathBuf,
    environment: Vec<(String, String)>,
    told: String,
    /// Where the broker's socket is, whose path has to be short.
    _sockets: tempfile::TempDir,
}

impl Session {
    /// Opens one; nothing where there is no docker command line.
    pub(super) fn open(lab: &Lab) -> Result<Option<Self>, Failure> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let suffix = suffix(NEXT.fetch_add(1, Ordering::Relaxed));
        if !succeeds(Command::new("docker").arg("version")) {
            return Ok(None);
        }
        sweep(is_left_behind)?;
        // Images of a tag of this session's own, for what `cargo xtask` makes and removes by tag.
        let tag = format!("guide{suffix}");
        let (_, lab_tag) = lab
            .image()
            .rsplit_once(':')
            .ok_or("an image without a tag")?;
        let mut fixed = vec![("debian:trixie", DEBIAN.to_owned())];
        for which in ["talaria-hermes", "talaria-base"] {
            let (there, own) = (format!("{which}:{lab_tag}"), format!("{which}:{tag}"));
            if !succeeds(Command::new("docker").args(["tag", &there, &own])) {
                return Err(format!("cannot tag {there}").into());
            }
        }
        fixed.push(("talaria-hermes:dev", format!("talaria-hermes:{tag}")));
        fixed.push(("talaria-base:dev", format!("talaria-base:{tag}")));
        fixed.push(("talaria-up", format!("talaria-up-{tag}")));

        let scratch = lab.scratch().to_owned();
        let sockets = tempfile::Builder::new().prefix("tal").tempdir()?;
        let environment = environment(lab, sockets.path(), &suffix, &tag)?;
        let mut shell = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(scratch.join("home"))
            .env_clear()
            .envs(environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let input = shell.stdin.take().ok_or("no input")?;
        let stdout = shell.stdout.take().ok_or("no output")?;
        let (send, output) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n') {
                let Ok(line) = line else { return };
                let line = String::from_utf8_lossy(&line).into_owned();
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Some(Self {
            shell,
            input,
            output,
            names: Names::new(suffix.clone(), fixed),
            suffix,
            scratch,
            environment,
            told: String::new(),
            _sockets: sockets,
        }))
    }

    pub(super) fn has_compose(&self) -> bool {
        succeeds(self.command("docker").args(["compose", "version"]))
    }

    /// A program with this session's environment.
    fn command(&self, program: &str) -> Command {
        let program = match program {
            "docker" => self.scratch.join("bin/docker"),
            other => other.into(),
        };
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment.iter().cloned());
        command
    }

    /// A file that the reader writes, below the home.
    pub(super) fn write(&self, path: &str, text: &str) -> TestResult {
        let path = self.scratch.join("home").join(self.names.there(path));
        if let Some(above) = path.parent() {
            std::fs::create_dir_all(above)?;
        }
        let text = self.names.there(text);
        std::fs::write(&path, &text)?;
        // What a shell could run, a reader makes runnable.
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        Ok(std::fs::set_permissions(
            &path,
            PermissionsExt::from_mode(mode),
        )?)
    }

    pub(super) fn go_to(&mut self, directory: &Path) -> TestResult {
        self.expect(&format!("cd '{}'", directory.display()), &[], 0, false)
    }

    /// Runs a command, and compares its end and its output with what is shown.
    pub(super) fn expect(
        &mut self,
        command: &str,
        shown: &[String],
        code: i32,
        settles: bool,
    ) -> TestResult {
        let begun = Instant::now();
        let told = self.told.len();
        loop {
            // Of what settles, the last answer tells enough.
            self.told.truncate(told);
            let (ended, output) = self.run(command)?;
            let lines: Vec<_> = output.lines().collect();
            let shown_lines = match shown.split_last() {
                // A blank line before the next command is the page's.
                Some((last, rest)) if last.is_empty() => rest,
                _ => shown,
            };
            if ended == code && (shown_lines.is_empty() || is_as_shown(shown_lines, &lines)) {
                return Ok(());
            }
            if !settles || begun.elapsed() > SETTLED {
                let shown = shown_lines.join("\n");
                return Err(format!(
                    "{command}\nended with {ended} and not with {code}, or printed\n{output}\n\
                     and not\n{shown}\n"
                )
                .into());
            }
            self.run(&format!("sleep {PAUSE}"))?;
        }
    }

    /// Its exit code, and both of its streams as the guide would have them.
    fn run(&mut self, command: &str) -> Result<(i32, String), Failure> {
        let script = self.scratch.join("step");
        std::fs::write(&script, self.names.there(command) + "\n")?;
        let path = script.display();
        writeln!(
            self.input,
            ". '{path}' < /dev/null 2>&1; printf '\\n%s\\n%s\\n' '{END}' $?"
        )?;
        self.told = format!("{}$ {command}\n", self.told);
        let deadline = Instant::now() + PATIENCE;
        let mut lines = Vec::new();
        let next = || match self.output.recv_timeout(deadline - Instant::now()) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => Err(format!("{command}\nhas not ended")),
            Err(RecvTimeoutError::Disconnected) => Err(format!("{command}\nended the shell")),
        };
        loop {
            let line = next()?;
            if line == END {
                break;
            }
            lines.push(line);
        }
        let code = next()?.parse()?;
        // The line that parts output from its end.
        if lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        let output = self.names.back(&lines.join("\n"));
        self.told = format!("{}{output}\n", self.told);
        Ok((code, output))
    }

    /// All that was said, and what the containers say, for a test that failed.
    pub(super) fn report(&self) {
        eprintln!("{}", self.told);
        for name in listed("ps -a --format {{.Names}}").unwrap_or_default() {
            if name.ends_with(&self.suffix) {
                eprintln!("--- the log of {name}");
                let log = Command::new("docker")
                    .args(["logs", "--tail", "50", &name])
                    .output();
                let log = log.map(|log| [log.stdout, log.stderr].concat());
                eprintln!("{}", String::from_utf8_lossy(&log.unwrap_or_default()));
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for words in [
            &["sandbox", "rm", "--all", "--force"][..],
            &["sandbox", "broker", "stop"],
        ] {
            succeeds(self.command("talaria").args(words));
        }
        self.shell.kill().ok();
        self.shell.wait().ok();
        let own = |name: &str| name.contains(&self.suffix);
        if let Err(error) = sweep(own) {
            eprintln!("left behind, the next run sweeps it: {error}");
        }
    }
}

/// What a reader has: a home, programs, and who they are.
fn environment(
    lab: &Lab,
    sockets: &Path,
    suffix: &str,
    tag: &str,
) -> Result<Vec<(String, String)>, Failure> {
    let scratch = lab.scratch();
    for directory in ["home", "bin"] {
        std::fs::create_dir_all(scratch.join(directory))?;
    }
    let labels = Run::this().labels(lab.test());
    let labels = labels
        .iter()
        .map(|(key, value)| format!("--label '{key}={value}'"));
    let labels = labels.collect::<Vec<_>>().join(" ");
    let docker = DOCKER.replacen('\n', &format!("\nLABELS=({labels})\n"), 1);
    let wrapper = scratch.join("bin/docker");
    std::fs::write(&wrapper, docker)?;
    std::fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o755))?;
    std::os::unix::fs::symlink(program(), scratch.join("bin/talaria"))?;

    let set = |name: &str| std::env::var(name).ok();
    let home = set("HOME").unwrap_or_else(|| "/root".to_owned());
    let path = set("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let mut environment = vec![
        ("PATH", format!("{}:{path}", text(scratch.join("bin")))),
        ("HOME", text(scratch.join("home"))),
        ("XDG_RUNTIME_DIR", text(sockets.to_owned())),
        ("TALARIA_OWNER", format!("guide{suffix}")),
        ("TALARIA_TAG", tag.to_owned()),
        (
            "CARGO_HOME",
            set("CARGO_HOME").unwrap_or(format!("{home}/.cargo")),
        ),
        (
            "RUSTUP_HOME",
            set("RUSTUP_HOME").unwrap_or(format!("{home}/.rustup")),
        ),
        ("TERM", "dumb".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("COMPOSE_INTERACTIVE_NO_CLI", "1".to_owned()),
    ];
    for name in ["CARGO_TARGET_DIR", "DOCKER_HOST"] {
        environment.extend(set(name).map(|value| (name, value)));
    }
    let owned = environment.into_iter();
    Ok(owned
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

fn succeeds(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stderr(Stdio::null());
    command
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn listed(words: &str) -> Result<Vec<String>, Failure> {
    let said = Command::new("docker").args(words.split(' ')).output()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    Ok(text.lines().map(str::to_owned).collect())
}

/// Removes what has such a name, what uses something before it.
fn sweep(is_to_go: impl Fn(&str) -> bool) -> TestResult {
    for (list, remove) in [
        ("ps -a --format {{.Names}}", "rm -f -v"),
        ("volume ls --format {{.Name}}", "volume rm -f"),
        ("network ls --format {{.Name}}", "network rm"),
        ("images --format {{.Repository}}:{{.Tag}}", "rmi -f"),
    ] {
        for name in listed(list)? {
            if is_to_go(&name)
                && !succeeds(Command::new("docker").args(remove.split(' ')).arg(&name))
            {
                return Err(format!("docker {remove} {name}").into());
            }
        }
    }
    Ok(())
}
