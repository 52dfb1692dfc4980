//! A volume on which everything that a boot reads, writes or heals is something else.
//!
//! The odd things are made by root on the volume, since `hermes` could make neither a device nor
//! a second name for a file of root's: whoever brings a volume may have.

use docker_harness::{Container, Failure, Lab, Spec, on_base};
use rstest::rstest;

use crate::common::{SOON, profile, quiet, talaria, wait_main, wait_up};

/// What a boot reads or writes in the home itself.
const IN_HOME: [&str; 10] = [
    ".env",
    "config.yaml",
    "SOUL.md",
    "auth.json",
    "gateway_state.json",
    "gateway.pid",
    "processes.json",
    "logs/container-boot.log",
    "logs/container-boot.log.1",
    "profiles/.gateway-ports.lock",
];

/// The same in a profile; the first two as its gateway starts, so its state stays sound.
const OF_RUNNER: [&str; 4] = [
    "profiles/runner/.env",
    "profiles/runner/.gateway-port",
    "logs/gateways/runner/current",
    "logs/gateways/runner/lock",
];

/// And in one whose state is odd.
const OF_VICTIM: [&str; 4] = [
    "profiles/victim/gateway_state.json",
    "profiles/victim/gateway.pid",
    "profiles/victim/processes.json",
    "profiles/victim/SOUL.md",
];

/// What is not odd for these, or is mended without a word worth saying: a file that names dead
/// processes goes whatever it is, `SOUL.md` only has to be there in a profile, a rotated log is
/// not touched until the next rotation, and a link to a file may be appended to by nobody.
fn is_named(kind: &str, path: &str) -> bool {
    let stale = path.ends_with("gateway.pid") || path.ends_with("processes.json");
    // Of a logger's own files the first odd one is reason enough, and that is its lock.
    let marker = path.ends_with("victim/SOUL.md")
        || path.ends_with(".log.1")
        || path.ends_with("runner/current");
    // A regular file of whatever size is one to look at, where only its presence counts.
    let whole = ["huge", "hardlink"].contains(&kind);
    let read = ["runner/.env", "runner/.gateway-port", "gateway_state.json"];
    match () {
        // With a `SOUL.md` that leads nowhere it is no profile, and nobody looks any further.
        () if kind == "dangling" && path.starts_with("profiles/victim/") => false,
        () if marker => false,
        () if stale => kind == "directory",
        () if whole && path == "gateway_state.json" => true,
        () if kind == "hardlink" => false,
        () if kind == "huge" => read.iter().any(|it| path.ends_with(it)),
        // The lock is only opened, and a logger's files only checked, where the gateway starts.
        () => true,
    }
}

/// Makes `$f` odd. `root-file` is root's, and secret.
fn make(kind: &str) -> &'static str {
    match kind {
        "fifo" => "mkfifo $f; chown 10000:10000 $f",
        "socket" => {
            "perl -MSocket -e 'socket(S,PF_UNIX,SOCK_STREAM,0) and bind(S,sockaddr_un($ARGV[0])) or die $!' $f; chown 10000:10000 $f"
        }
        "device" => "mknod $f c 1 5",
        "symlink" => "ln -s /root-file $f",
        "dangling" => "ln -s nowhere $f",
        "hardlink" => "ln $home/root-file $f",
        "directory" => "mkdir $f; chown 10000:10000 $f",
        "huge" => "truncate -s 2G $f; chown 10000:10000 $f",
        _ => "false",
    }
}

/// A volume with a home full of one kind of thing.
async fn volume(lab: &Lab, home: &str, kind: &str) -> Result<String, Failure> {
    let volume = lab.volume().await?;
    let files =
        profile(home, 10_000, "runner", "running").and(profile(home, 10_000, "victim", "running"));
    let places: Vec<&str> = IN_HOME
        .iter()
        .chain(&OF_RUNNER)
        .chain(&OF_VICTIM)
        .copied()
        .collect();
    let script = format!(
        "set -e; home={home}; cd $home; echo secret > root-file; chmod 600 root-file
         mkdir -p logs/gateways/runner; chown -R 10000:10000 logs; chown 10000:10000 $home
         for f in {}; do rm -rf $f; {}; done",
        places.join(" "),
        make(kind)
    );
    let spec = Spec::new(lab.image())
        .entrypoint(["sh", "-c", &script])
        .files(files);
    let made = lab.run(spec.volume_as_it_is(&volume, home), SOON).await?;
    assert_eq!((0, ""), (made.code, &*made.output.err()));
    Ok(volume)
}

/// What belongs to root on the volume: kind, mode, names and content.
async fn roots(container: &Container, home: &str) -> Result<String, Failure> {
    let script = format!(
        "cd {home} && find . -user 0 -printf '%p %y %m %n\\n' | LC_ALL=C sort; cat root-file; stat -c '%U %a %s' /root-file; cat /root-file"
    );
    let seen = container.exec_root(["sh", "-c", &script]).await?;
    assert_eq!(0, seen.code, "{}", seen.stderr);
    Ok(seen.stdout)
}

#[rstest]
#[case::fifo("fifo", "/opt/data")]
#[case::socket("socket", "/opt/data")]
#[case::device("device", "/opt/data")]
#[case::symlink("symlink", "/opt/data")]
#[case::dangling("dangling", "/opt/data")]
#[case::hard_link("hardlink", "/opt/data")]
#[case::directory("directory", "/opt/data")]
#[case::two_gigabytes("huge", "/opt/data")]
#[case::fifo_elsewhere("fifo", "/srv/agent")]
#[case::symlink_elsewhere("symlink", "/srv/agent")]
#[case::hard_link_elsewhere("hardlink", "/srv/agent")]
#[case::directory_elsewhere("directory", "/srv/agent")]
fn a_boot_gets_past_a_volume_full_of_it(#[case] kind: &str, #[case] home: &str) {
    on_base(async |lab| {
        let volume = volume(lab, home, kind).await?;
        let files = quiet().file("/root-file", 0o600, "root's\n");
        let spec = lab
            .container()
            .files(files)
            .volume_as_it_is(&volume, home)
            .env("HERMES_HOME", home)
            .env("HERMES_AUTH_JSON_BOOTSTRAP", "canary")
            .env("HERMES_GATEWAY_BOOTSTRAP_STATE", "running")
            .command(["sleep", "1000"]);
        let container = lab.create(&spec).await?;
        container.start().await?;
        wait_main(&container).await?;
        // A sound profile's gateway starts, whatever stands beside it.
        wait_up(
            &container,
            docker_harness::Identity::Hermes,
            "gateway-runner",
        )
        .await?;
        let own = docker_harness::wait_for("the gateway has become itself", SOON, async || {
            let processes = container.processes().await?;
            let seen = processes.with_line("sleep 1000000").len();
            Ok::<_, Failure>(docker_harness::Level::when(seen > 0, processes.drawn()))
        });
        own.await?;

        // Root gave nothing away.
        let owned = roots(&container, home).await?;
        assert!(owned.ends_with("secret\nroot 600 7\nroot's\n"), "{owned}");
        // A plain file that root left is the agent's to have; one with a second name is not.
        let kept = owned.contains("./root-file f 600 ");
        assert_eq!(kind == "hardlink", kept, "{owned}");
        let devices = owned.lines().filter(|line| line.contains(" c ")).count();
        assert_eq!(kind == "device", devices > 0, "{owned}");

        // And said what it met.
        let places = IN_HOME.iter().chain(&OF_RUNNER).chain(&OF_VICTIM);
        let said = docker_harness::wait_for("every odd file is named", SOON, async || {
            let output = container.output().await?;
            let said = output.err() + &output.out();
            let missing: Vec<_> = places
                .clone()
                .filter(|path| is_named(kind, path))
                .filter(|path| !names(&said, home, path))
                .collect();
            Ok::<_, Failure>(docker_harness::Level::when(missing.is_empty(), missing))
        });
        said.await?;

        // The command line answers too, and a stop is a stop.
        for words in [
            ["status"].as_slice(),
            &["gateway", "list"],
            &["profile", "list"],
        ] {
            let told = talaria(&container, words).await?;
            assert!([0, 1].contains(&told.code), "{words:?}: {}", told.stderr);
        }
        container.stop(SOON).await?;
        assert_eq!(143, container.state().await?.exit_code);
        Ok(())
    });
}

/// Whether a line names this file: in full, or as the directory and the name that is odd in it.
fn names(said: &str, home: &str, path: &str) -> bool {
    let whole = format!("{home}/{path}");
    let (directory, name) = whole.rsplit_once('/').unwrap_or_default();
    said.lines().any(|line| {
        line.contains(&format!("{whole}:"))
            || (line.contains(&format!("{directory}:")) && line.contains(&format!(" {name} ")))
    })
}

#[test]
fn directories_that_are_none_are_named_and_the_default_gateway_is_there() {
    on_base(async |lab| {
        let places = ["cron", "logs", "profiles", "workspace"];
        let script = format!(
            "cd /opt/data; for f in {}; do rm -rf $f; touch $f; done",
            places.join(" ")
        );
        let volume = lab.volume().await?;
        let broken = lab.container().volume(&volume, "/opt/data").shell(&script);
        assert_eq!(0, lab.run(broken, SOON).await?.code);
        let spec = lab
            .container()
            .files(quiet())
            .volume(&volume, "/opt/data")
            .env("HERMES_GATEWAY_BOOTSTRAP_STATE", "running")
            .command(["sleep", "1000"]);
        let container = lab.start(spec).await?;
        wait_main(&container).await?;
        wait_up(
            &container,
            docker_harness::Identity::Hermes,
            "gateway-default",
        )
        .await?;
        let said = container.output().await?.err();
        for place in places {
            let line = format!("talaria: /opt/data/{place}: passed over: not a directory");
            assert!(said.lines().any(|it| it == line), "{line}\n{said}");
        }
        Ok(())
    });
}
