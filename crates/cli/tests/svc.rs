//! `talaria svc` as a whole: output, errors and exit codes, without an s6 and without an environment.
#![expect(
    clippy::unwrap_used,
    reason = "a fixture that cannot be made ends the test"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use insta::assert_snapshot;
use rustix::fs::{CWD, FlockOperation, Mode, mkfifoat};
use tempfile::TempDir;

/// A scandir without s6, and services with supervisors that only hold their locks.
struct Scene {
    root: TempDir,
    supervisors: Vec<Child>,
}

impl Scene {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            supervisors: Vec::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A service in a state that s6 2.13.1.0 wrote.
    fn service(&mut self, name: &str, state: &str, supervised: bool) {
        let slot = self.path(name);
        fs::create_dir_all(slot.join("supervise")).unwrap();
        fs::write(slot.join("supervise/lock"), "").unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../s6-svc/tests/golden/2.13.1.0-{state}.status"));
        fs::copy(golden, slot.join("supervise/status")).unwrap();
        mkfifoat(
            CWD,
            slot.join("supervise/control"),
            Mode::from_raw_mode(0o600),
        )
        .unwrap();
        if supervised {
            let mut supervisor = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "supervisor", "--ignored", "--nocapture"])
                .env("SLOT", &slot)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(supervisor.stdout.take().unwrap()).lines();
            lines
                .map_while(Result::ok)
                .find(|line| line.contains("locked"))
                .unwrap();
            self.supervisors.push(supervisor);
        }
    }

    /// Runs the program; what it printed, and how it ended.
    fn talaria(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_talaria"))
            .env_clear()
            .env("HOME", self.root.path())
            .current_dir(self.root.path())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let all = format!(
            "{}--- stderr\n{}--- exit {}\n",
            text(output.stdout),
            text(output.stderr),
            output.status.code().unwrap()
        );
        seconds_hidden(&all.replace(self.root.path().to_str().unwrap(), "[scandir]"))
    }

    fn svc(&self, arguments: &[&str]) -> String {
        let scandir = ["svc", "--scandir", self.root.path().to_str().unwrap()];
        self.talaria(&[&scandir, arguments].concat())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for supervisor in &mut self.supervisors {
            supervisor.kill().ok();
            supervisor.wait().ok();
        }
    }
}

/// How long ago the golden files were made is different every day.
fn seconds_hidden(text: &str) -> String {
    let hide = |line: &str| {
        let begin = line
            .find(" for ")
            .map(|at| at + 5)
            .or(line.find("\"seconds\": ").map(|at| at + 11));
        match begin {
            Some(begin) => {
                let digits = line[begin..]
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(line.len() - begin);
                if digits == 0 {
                    return line.to_owned();
                }
                format!("{}[n]{}", &line[..begin], &line[begin + digits..])
            }
            None => line.to_owned(),
        }
    };
    text.lines().map(hide).map(|line| line + "\n").collect()
}

#[test]
#[ignore = "a process that other tests start"]
fn supervisor() {
    let Some(slot) = std::env::var_os("SLOT").map(PathBuf::from) else {
        return;
    };
    let open = |name| {
        fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(slot.join(name))
            .unwrap()
    };
    let (lock, _control) = (open("supervise/lock"), open("supervise/control"));
    rustix::fs::fcntl_lock(&lock, FlockOperation::LockExclusive).unwrap();
    println!("locked");
    std::io::stdin().lines().for_each(drop);
}

#[test]
fn a_service_that_is_up_is_told_in_a_sentence() {
    let mut scene = Scene::new();
    scene.service("web", "ready", true);
    assert_snapshot!(scene.svc(&["stat", "web"]));
}

#[test]
fn states_are_told_in_words_fields_and_json() {
    let mut scene = Scene::new();
    for state in [
        "never-started",
        "paused",
        "finishing",
        "down-exit-3",
        "down-killed",
        "failed-for-good",
    ] {
        scene.service(state, state, true);
    }
    scene.service("left", "up", false);
    fs::write(scene.path("never-started/down"), "").unwrap();
    assert_snapshot!("list", scene.svc(&["list"]));
    assert_snapshot!("list_json", scene.svc(&["list", "--json"]));
    assert_snapshot!(
        "fields",
        scene.svc(&[
            "stat",
            "-o",
            "up,wantedup,ready,exitcode,signal,updownsince",
            "down-killed"
        ])
    );
    assert_snapshot!(
        "stat_json",
        scene.svc(&["stat", "--json", "down-exit-3", "left"])
    );
}

#[test]
fn a_service_that_nobody_supervises_is_told_with_s6s_codes() {
    let mut scene = Scene::new();
    scene.service("web", "up", false);
    assert_snapshot!("unsupervised_stat", scene.svc(&["stat", "web"]));
    assert_snapshot!("unsupervised_control", scene.svc(&["control", "web", "up"]));
    assert_snapshot!("unsupervised_wait", scene.svc(&["wait", "up", "web"]));
}

#[test]
fn a_command_is_sent_and_nothing_is_printed() {
    let mut scene = Scene::new();
    scene.service("web", "up", true);
    assert_snapshot!(scene.svc(&["control", "web", "down", "U", "x"]));
}

#[test]
fn a_wait_ends_with_the_time_it_was_given() {
    let mut scene = Scene::new();
    scene.service("web", "down-exit-3", true);
    fs::create_dir(scene.path("web/event")).unwrap();
    assert_snapshot!("wait_reached", scene.svc(&["wait", "finished", "web"]));
    assert_snapshot!(
        "wait_timed_out",
        scene.svc(&["wait", "up", "web", "--timeout", "20ms"])
    );
    assert_snapshot!(
        "control_timed_out",
        scene.svc(&[
            "control",
            "web",
            "up",
            "--wait",
            "ready",
            "--timeout",
            "20ms"
        ])
    );
}

#[test]
fn a_registration_without_a_scanner_says_what_to_look_at() {
    let scene = Scene::new();
    assert_snapshot!(
        "register",
        scene.svc(&["register", "web", "--run", "/bin/true"])
    );
    assert_snapshot!("unregister", scene.svc(&["unregister", "web"]));
    assert_eq!(fs::read_dir(scene.root.path()).unwrap().count(), 0);
}

#[test]
fn what_stands_in_the_place_of_something_else_is_named() {
    let mut scene = Scene::new();
    scene.service("web", "up", true);
    fs::remove_file(scene.path("web/supervise/control")).unwrap();
    fs::write(scene.path("web/supervise/control"), "").unwrap();
    assert_snapshot!("control_is_a_file", scene.svc(&["control", "web", "up"]));
    fs::write(scene.path("web/supervise/status"), "short").unwrap();
    assert_snapshot!("status_is_short", scene.svc(&["stat", "web"]));
}

#[test]
fn wrong_usage_ends_with_100() {
    let scene = Scene::new();
    assert_snapshot!("no_service", scene.svc(&["stat"]));
    assert_snapshot!("bad_name", scene.svc(&["stat", "../etc/passwd\n", "Web"]));
    assert_snapshot!("bad_command", scene.svc(&["control", "web", "start"]));
    assert_snapshot!(
        "bad_time",
        scene.svc(&["wait", "up", "web", "--timeout", "10"])
    );
    assert_snapshot!("bad_field", scene.svc(&["stat", "-o", "uptime", "web"]));
}

#[test]
fn help_has_examples_and_exit_codes() {
    let scene = Scene::new();
    assert_snapshot!("help_svc", scene.talaria(&["svc", "--help"]));
    for command in ["stat", "control", "wait", "list", "register", "unregister"] {
        assert_snapshot!(
            format!("help_{command}"),
            scene.talaria(&["svc", command, "--help"])
        );
    }
}
