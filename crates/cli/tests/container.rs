//! What is for inside an agent container, as a whole: output, errors and exit codes, without a
//! container, without an s6 and without an environment.
#![expect(
    clippy::unwrap_used,
    reason = "a fixture that cannot be made ends the test"
)]

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use rstest::rstest;
use tempfile::TempDir;

/// A home with profiles, and a scandir that nobody scans.
struct Scene {
    root: TempDir,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("home/profiles")).unwrap();
        fs::create_dir(root.path().join("scandir")).unwrap();
        Self { root }
    }

    fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    fn profile(&self, name: &str, files: &[(&str, &str)]) {
        let directory = self.home().join("profiles").join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("SOUL.md"), "").unwrap();
        for (file, text) in files {
            fs::write(directory.join(file), text).unwrap();
        }
    }

    /// Runs the program; what it printed, and how it ended.
    fn talaria(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_talaria"));
        if rustix::process::geteuid().is_root() {
            give(self.root.path());
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command
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
        all.replace(self.root.path().to_str().unwrap(), "[root]")
    }

    /// The same on this home and this scandir.
    fn here(&self, arguments: &[&str]) -> String {
        let (home, scandir) = (self.home(), self.root.path().join("scandir"));
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let place = ["--home", &text(&home), "--scandir", &text(&scandir)];
        self.talaria(&[arguments, &place].concat())
    }
}

/// A user without rights, for when the tests are root's: then the program would look for `hermes`.
const NOBODY: u32 = 65_534;

/// Gives a scene to that user.
fn give(path: &Path) {
    std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
}

#[rstest]
#[case("talaria", &[])]
#[case("status", &["status"])]
#[case("health", &["health"])]
#[case("doctor", &["doctor"])]
#[case("completions", &["completions"])]
#[case("man", &["man"])]
#[case("boot", &["boot"])]
#[case("boot_provision", &["boot", "provision"])]
#[case("boot_reconcile", &["boot", "reconcile"])]
#[case("profile", &["profile"])]
#[case("profile_create", &["profile", "create"])]
#[case("profile_delete", &["profile", "delete"])]
#[case("profile_list", &["profile", "list"])]
#[case("profile_show", &["profile", "show"])]
#[case("gateway", &["gateway"])]
#[case("gateway_start", &["gateway", "start"])]
#[case("gateway_stop", &["gateway", "stop"])]
#[case("gateway_restart", &["gateway", "restart"])]
#[case("gateway_status", &["gateway", "status"])]
#[case("gateway_list", &["gateway", "list"])]
#[case("gateway_logs", &["gateway", "logs"])]
#[case("gateway_run", &["gateway", "run"])]
#[case("gateway_install", &["gateway", "install"])]
#[case("gateway_uninstall", &["gateway", "uninstall"])]
#[case("docker_shim", &["docker-shim"])]
fn help_has_examples_and_exit_codes(#[case] name: &str, #[case] words: &[&str]) {
    let help = Scene::new().talaria(&[words, &["--help"]].concat());
    assert_snapshot!(format!("help_{name}"), help);
}

#[rstest]
#[case("no_command", &[])]
#[case("bad_name", &["profile", "create", "Coder"])]
#[case("profile_and_all", &["gateway", "start", "-p", "coder", "--all"])]
#[case("bad_wait", &["gateway", "start", "--wait=soon"])]
#[case("not_dry", &["boot", "reconcile"])]
#[case("no_such_command", &["gateway", "strat"])]
#[case("no_such_shell", &["completions", "tcsh"])]
#[case("no_value", &["gateway", "start", "-p"])]
#[case("install", &["gateway", "install"])]
#[case("uninstall", &["gateway", "uninstall", "-p", "coder"])]
#[case("copy_to_a_stream", &["sandbox", "cp", "build:/workspace/out", "-"])]
fn wrong_usage_is_told(#[case] name: &str, #[case] words: &[&str]) {
    assert_snapshot!(format!("usage_{name}"), Scene::new().talaria(words));
}

#[test]
fn help_that_nobody_reads_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_talaria"));
    let done = command.arg("--help").stdout(writer).output().unwrap();
    assert_eq!((done.status.code(), done.stderr.len()), (Some(141), 0));
}

#[test]
fn a_profile_is_created_shown_and_deleted() {
    let scene = Scene::new();
    assert_snapshot!("create", scene.here(&["profile", "create", "coder"]));
    assert_snapshot!("create_again", scene.here(&["profile", "create", "coder"]));
    assert_snapshot!(
        "create_default",
        scene.here(&["profile", "create", "default"])
    );
    assert_snapshot!("list", scene.here(&["profile", "list"]));
    assert_snapshot!("show", scene.here(&["profile", "show", "coder"]));
    assert_snapshot!(
        "show_json",
        scene.here(&["profile", "show", "coder", "--json"])
    );
    assert_snapshot!("delete", scene.here(&["profile", "delete", "coder"]));
    assert_snapshot!("delete_again", scene.here(&["profile", "delete", "coder"]));
    assert_snapshot!(
        "delete_default",
        scene.here(&["profile", "delete", "default"])
    );
}

#[test]
fn without_supervision_each_command_says_so() {
    let scene = Scene::new();
    scene.profile("coder", &[(".env", "API_SERVER_PORT=7777\n")]);
    assert_snapshot!("unsupervised_status", scene.here(&["status"]));
    assert_snapshot!(
        "unsupervised_status_json",
        scene.here(&["status", "--json"])
    );
    assert_snapshot!("unsupervised_health", scene.here(&["health"]));
    assert_snapshot!("unsupervised_list", scene.here(&["gateway", "list"]));
    assert_snapshot!(
        "unsupervised_stop",
        scene.here(&["gateway", "stop", "-p", "coder"])
    );
    assert_snapshot!(
        "unsupervised_restart",
        scene.here(&["gateway", "restart", "-p", "coder"])
    );
    assert_snapshot!("no_log", scene.here(&["gateway", "logs", "-p", "coder"]));
    assert_snapshot!("no_profile", scene.here(&["gateway", "stop", "-p", "codr"]));
}

#[test]
fn plans_are_printed_and_nothing_is_done() {
    let scene = Scene::new();
    scene.profile(
        "coder",
        &[("gateway_state.json", "{\"desired_state\":\"running\"}")],
    );
    scene.profile(
        "broken",
        &[("gateway_state.json", "{"), ("gateway.pid", "7")],
    );
    scene.profile("Bad", &[]);
    let reconcile = ["boot", "reconcile", "--dry-run"];
    assert_snapshot!("plan_reconcile", scene.here(&reconcile));
    assert_snapshot!(
        "plan_reconcile_json",
        scene.here(&[&reconcile[..], &["--json"]].concat())
    );
    let provision = ["boot", "provision", "--dry-run"];
    assert_snapshot!("plan_provision", scene.here(&provision));
    assert_snapshot!(
        "plan_provision_json",
        scene.here(&[&provision[..], &["--json"]].concat())
    );
    assert_eq!(fs::read_dir(scene.home()).unwrap().count(), 1);
    assert_eq!(
        fs::read_dir(scene.root.path().join("scandir"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn a_log_is_printed_from_its_end() {
    let scene = Scene::new();
    let log = scene.home().join("logs/gateways/default");
    fs::create_dir_all(&log).unwrap();
    fs::write(log.join("current"), "one\ntwo\nthree\n").unwrap();
    assert_snapshot!("log", scene.here(&["gateway", "logs", "-n", "2"]));
}

#[test]
fn outside_of_a_container_the_doctor_looks_for_an_engine() {
    // Whether there is one, and whether this user may ask it, is the machine's own.
    let said = Scene::new().talaria(&["doctor"]);
    assert!(said.contains("\tengine\t"), "{said}");
    assert!(!said.contains("\tpid 1\t"), "{said}");
    let said = Scene::new().talaria(&["doctor", "--json"]);
    assert!(said.contains("\"name\": \"engine\""), "{said}");
}

#[test]
fn the_doctor_of_a_home_that_is_not_there_says_so() {
    let scene = Scene::new();
    fs::remove_dir_all(scene.home()).unwrap();
    let said = scene.here(&["doctor"]);
    assert!(
        said.contains("bad\thome\t[root]/home: No such file or directory"),
        "{said}"
    );
    assert!(said.ends_with("--- exit 1\n"), "{said}");
}

#[rstest]
#[case("bash")]
#[case("zsh")]
#[case("fish")]
fn completions_know_every_command(#[case] shell: &str) {
    let said = Scene::new().talaria(&["completions", shell]);
    assert!(said.ends_with("--- stderr\n--- exit 0\n"), "{said}");
    for word in ["gateway", "doctor", "restart", "--no-supervise", "register"] {
        let word = if shell == "fish" {
            word.trim_start_matches('-')
        } else {
            word
        };
        assert!(said.contains(word), "{word} is not in {said}");
    }
}

#[test]
fn a_script_for_bash_is_one_that_bash_takes() {
    let scene = Scene::new();
    let script = scene.root.path().join("completions");
    let said = scene.talaria(&["completions", "bash"]);
    let text = said.split("--- stderr").next().unwrap();
    fs::write(&script, text).unwrap();
    let check = ". \"$0\"; COMP_WORDS=(talaria gateway st); COMP_CWORD=2; \
                 _talaria talaria st gateway; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    let output = bash.args(["-c", check]).arg(&script).output().unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let mut found: Vec<_> = found.lines().collect();
    found.sort_unstable();
    assert_eq!(found, ["start", "status", "stop"]);
}

#[test]
fn there_is_a_page_for_each_command() {
    let scene = Scene::new();
    let page = scene.talaria(&["man"]);
    assert!(page.contains(".TH talaria 1"), "{page}");
    let pages = scene.root.path().join("pages/man1");
    let said = scene.talaria(&["man", "--to", pages.to_str().unwrap()]);
    assert_eq!(said, "--- stderr\n--- exit 0\n");
    for name in ["talaria.1", "talaria-doctor.1", "talaria-gateway-start.1"] {
        assert!(pages.join(name).is_file(), "{name}");
    }
}
