//! What comes back after a container's end, and what does not: as the profiles' state files say,
//! however it ended and whatever it was doing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use docker_harness::{Container, Failure, Identity, Level, Tree, on_base, wait_for};
use rstest::rstest;

use crate::common::{
    HOME, SOON, kill_and_start, profile, profile_with_state, quiet, rounds, talaria, wait_main,
    wait_up,
};

/// How a container ends, and starts again.
#[derive(Debug, Clone, Copy)]
enum End {
    Restart,
    Stop,
    Kill,
}

impl End {
    async fn of(self, container: &Container) -> Result<(), Failure> {
        match self {
            Self::Restart => container.restart(SOON).await?,
            Self::Stop => {
                container.stop(SOON).await?;
                container.start().await?;
            }
            Self::Kill => kill_and_start(container).await?,
        }
        Ok(())
    }
}

/// Each slot of a gateway, and what `s6-svstat` says of it: `true true` for up, and wanted so.
async fn slots(container: &Container) -> Result<BTreeMap<String, String>, Failure> {
    let script = "cd /run/service; for slot in gateway-*; do echo \"$slot $(/command/s6-svstat -o up,wantedup $slot 2>&1)\"; done";
    let told = container.shell(script).await?.stdout;
    let row = |line: &str| {
        let (slot, state) = line.split_once(' ')?;
        Some((slot.strip_prefix("gateway-")?.to_owned(), state.to_owned()))
    };
    Ok(told.lines().filter_map(row).collect())
}

/// Waits until every slot is there, and up or down as it is meant to be.
async fn wait_slots(
    container: &Container,
    up: &BTreeMap<String, bool>,
    within: Duration,
) -> Result<(), Failure> {
    let expected: BTreeMap<String, String> = up
        .iter()
        .map(|(name, up)| (name.clone(), format!("{up} {up}")))
        .collect();
    let same = wait_for(
        "every gateway is as it is meant to be",
        within,
        async || {
            let seen = slots(container).await?;
            let other: Vec<_> = expected
                .iter()
                .filter(|(name, state)| seen.get(*name) != Some(*state))
                .map(|(name, state)| format!("{name}: {:?}, not {state}", seen.get(name)))
                .chain(
                    seen.keys()
                        .filter(|name| !expected.contains_key(*name))
                        .cloned(),
                )
                .collect();
            Ok::<_, Failure>(Level::when(other.is_empty(), other))
        },
    );
    Ok(same.await?)
}

/// `gateway_state`, and whether a gateway that was last seen so starts where no operator has said
/// anything.
const REPORTED: [(&str, bool); 9] = [
    ("running", true),
    ("draining", true),
    ("degraded", true),
    ("stopped", false),
    ("starting", false),
    ("startup_failed", false),
    ("no_such_state", false),
    ("null", false),
    ("", false),
];

/// Every row of the table: each thing that an operator may have said, by each that a gateway may
/// have, as a profile of its own. With what is expected of it and the word for it in the log.
fn table() -> (Tree, BTreeMap<String, bool>, BTreeMap<String, String>) {
    let (mut files, mut up, mut words) = (quiet(), BTreeMap::new(), BTreeMap::new());
    up.insert("default".to_owned(), false);
    for desired in ["", "running", "stopped"] {
        for (reported, alone) in REPORTED {
            let name = format!("d-{desired}-r-{reported}");
            let mut fields = Vec::new();
            if !desired.is_empty() {
                fields.push(format!("\"desired_state\": \"{desired}\""));
            }
            match reported {
                "" => {}
                "null" => fields.push("\"gateway_state\": null".to_owned()),
                word => fields.push(format!("\"gateway_state\": \"{word}\"")),
            }
            let state = format!("{{{}}}", fields.join(", "));
            files = files.and(profile_with_state(HOME, &name, &state));
            let (expected, word) = match (desired, reported) {
                ("running", _) => (true, "running"),
                ("stopped", _) => (false, "stopped"),
                (_, "" | "null") => (false, "none"),
                (_, word) => (alone, word),
            };
            up.insert(name.clone(), expected);
            words.insert(name, word.to_owned());
        }
    }
    (files, up, words)
}

#[rstest]
#[case::restart(End::Restart)]
#[case::stop_and_start(End::Stop)]
#[case::kill_and_start(End::Kill)]
fn every_row_of_the_table_holds(#[case] end: End) {
    on_base(async |lab| {
        let (files, up, words) = table();
        let spec = lab.container().files(files).command(["sleep", "1000"]);
        let container = lab.start(spec).await?;
        for life in 0..3 {
            if life > 0 {
                end.of(&container).await?;
            }
            wait_slots(&container, &up, SOON).await?;
        }
        let log = container
            .exec(["cat", "/opt/data/logs/container-boot.log"])
            .await?;
        for (name, word) in &words {
            let action = if up[name] { "started" } else { "registered" };
            let line = format!(" profile={name} prior_state={word} action={action}");
            let lines = log.stdout.lines().filter(|it| it.ends_with(&line)).count();
            assert_eq!(3, lines, "{line}\n{}", log.stdout);
        }
        Ok(())
    });
}

/// Bytes in place of a state file, or something else: down, named, and no obstacle to the others.
#[test]
fn a_state_file_that_says_nothing_keeps_its_gateway_down_and_no_others() {
    on_base(async |lab| {
        let odd = [
            ("corrupt", "printf '{\"desired_state\": \"running\"' > $f"),
            ("empty", ": > $f"),
            ("binary", "head -c 4096 /dev/urandom > $f"),
            ("deep", "yes '[' | head -n 100000 | tr -d '\\n' > $f"),
            ("huge", "truncate -s 2G $f"),
            ("directory", "mkdir $f"),
        ];
        let mut files = quiet().and(profile(HOME, 10_000, "sound", "running"));
        let mut up = BTreeMap::from([("default".to_owned(), false), ("sound".to_owned(), true)]);
        for (name, _) in odd {
            files = files.and(profile(HOME, 10_000, name, "running"));
            up.insert(name.to_owned(), true);
        }
        let spec = lab.container().files(files).command(["sleep", "1000"]);
        let container = lab.start(spec).await?;
        wait_slots(&container, &up, SOON).await?;
        for (name, make) in odd {
            let script = format!("f=/opt/data/profiles/{name}/gateway_state.json; rm $f; {make}");
            let made = container.shell(&script).await?;
            assert_eq!((0, ""), (made.code, &*made.stderr), "{name}");
            up.insert(name.to_owned(), false);
        }
        container.restart(SOON).await?;
        wait_slots(&container, &up, SOON).await?;
        let said = container.output().await?.err();
        for (name, _) in odd {
            let path = format!("talaria: /opt/data/profiles/{name}/gateway_state.json: ");
            assert!(
                said.lines().any(|line| line.starts_with(&path)),
                "{path}\n{said}"
            );
        }
        // An operator's word mends all that can be replaced.
        for (name, _) in odd.iter().filter(|(name, _)| *name != "directory") {
            let started = talaria(&container, &["gateway", "start", "-p", name]).await?;
            assert_eq!(0, started.code, "{name}: {}", started.stderr);
            up.insert((*name).to_owned(), true);
        }
        wait_slots(&container, &up, SOON).await?;
        kill_and_start(&container).await?;
        wait_slots(&container, &up, SOON).await
    });
}

#[test]
fn what_runs_before_a_restart_runs_after_it_and_only_a_stop_keeps_it_down() {
    on_base(async |lab| {
        let names = ["one", "two", "three"];
        let files = names.iter().fold(quiet(), |files, name| {
            files.and(profile(HOME, 10_000, name, "stopped"))
        });
        let spec = lab.container().files(files).command(["sleep", "1000"]);
        let container = lab.start(spec).await?;
        let mut up: BTreeMap<_, _> = names
            .iter()
            .map(|name| ((*name).to_owned(), false))
            .collect();
        up.insert("default".to_owned(), false);
        wait_slots(&container, &up, SOON).await?;
        let steps = [
            ("start", "one", true),
            ("start", "two", true),
            ("stop", "one", false),
            ("restart", "three", true),
            ("start", "default", true),
            ("stop", "default", false),
            ("start", "one", true),
        ];
        for ((command, name, is_up), end) in steps
            .into_iter()
            .zip([End::Restart, End::Kill, End::Stop].into_iter().cycle())
        {
            let done = talaria(&container, &["gateway", command, "-p", name]).await?;
            assert_eq!(0, done.code, "{command} {name}: {}", done.stderr);
            up.insert(name.to_owned(), is_up);
            // Where it was killed: what was asked for is recorded before it is acted on.
            end.of(&container).await?;
            wait_slots(&container, &up, SOON).await?;
        }
        Ok(())
    });
}

#[test]
fn a_container_for_a_gateway_that_is_killed_while_it_starts_starts_it_again() {
    on_base(async |lab| {
        let container = lab
            .start(lab.container().files(quiet()).command(["gateway", "run"]))
            .await?;
        wait_up(&container, Identity::Hermes, "gateway-default").await?;
        // The gateway says so of itself, beside what it finds in the file.
        let script = "cd /opt/data && sed -i 's/}/,\"gateway_state\":\"starting\"}/' gateway_state.json && cat gateway_state.json";
        let written = container.shell(script).await?;
        let expected = "{\"desired_state\":\"running\",\"gateway_state\":\"starting\"}\n";
        assert_eq!(expected, written.stdout, "{}", written.stderr);
        for end in [End::Kill, End::Restart] {
            end.of(&container).await?;
            wait_up(&container, Identity::Hermes, "gateway-default").await?;
        }
        Ok(())
    });
}

/// Many profiles, half of them to run.
const MANY: usize = 500;

#[test]
fn five_hundred_profiles_come_back_as_they_were_meant() {
    on_base(async |lab| {
        let (mut files, mut up) = (quiet(), BTreeMap::from([("default".to_owned(), false)]));
        for number in 0..MANY {
            let name = format!("p{number}");
            let is_up = number % 2 == 0;
            let desired = if is_up { "running" } else { "stopped" };
            files = files.and(profile(HOME, 10_000, &name, desired));
            up.insert(name, is_up);
        }
        let spec = lab.container().files(files).command(["sleep", "1000"]);
        let container = lab.start(spec).await?;
        let patient = Duration::from_mins(5);
        wait_slots(&container, &up, patient).await?;
        for end in [End::Restart, End::Kill] {
            let begun = Instant::now();
            end.of(&container).await?;
            let started = begun.elapsed();
            // The processes first: to ask s6 of each slot takes a process for each.
            let whole = wait_for("every gateway has become itself", patient, async || {
                let processes = container.processes().await?;
                let seen = processes.with_line("sleep 1000000").len();
                Ok::<_, Failure>(Level::when(seen == MANY / 2, seen))
            });
            whole.await?;
            println!(
                "{MANY} profiles, half of them up, {end:?}: every gateway is itself after {:?}, of which the engine took {started:?}",
                begun.elapsed()
            );
            wait_slots(&container, &up, patient).await?;
        }
        Ok(())
    });
}

/// A main program that makes profiles, starts, stops and deletes them, with the tree killed now
/// and then, for as long as it lives; and that only lives where it finds `quiet`.
const CHURN: &str = r"
test -e /opt/data/quiet && exec sleep 1000
echo churning
churn() {
    while :; do
        talaria profile create $1; talaria gateway start -p $1
        talaria gateway restart -p $1; talaria gateway stop -p $1
        talaria gateway start -p $1; talaria profile delete $1
    done
}
for name in a b c; do churn $name & done > /dev/null 2>&1
while :; do
    sleep 0.3
    for process in /proc/[0-9]*; do
        # Root's own of that name is out of reach.
        grep -qx s6-svscan $process/comm && kill -KILL ${process#/proc/} && echo a tree was killed
    done 2> /dev/null
done
";

/// A moment within the first `span` of a life, other in each round.
fn moment(round: usize, span: Duration) -> Duration {
    // Weyl's sequence: even over the span, whatever the number of rounds.
    let step = u32::try_from(round % 1000).unwrap_or_default() * 618 % 1000;
    span * step / 1000
}

#[test]
fn a_container_killed_at_any_moment_comes_up_whole() {
    on_base(async |lab| {
        let whole = rounds(200);
        let spec = lab.container().files(quiet()).shell(CHURN);
        let container = lab.start(spec).await?;
        for round in 0..whole {
            // From the boot itself to well into the churning.
            let moment = moment(round, Duration::from_millis(1200));
            tokio::time::sleep(moment).await;
            container.kill("SIGKILL").await?;
            assert_eq!(
                137,
                container.wait(SOON).await?,
                "round {round}, after {moment:?}"
            );
            container.start().await?;
        }
        container.says("a tree was killed", SOON).await?;
        assert_eq!(0, container.shell("touch /opt/data/quiet").await?.code);
        kill_and_start(&container).await?;
        wait_main(&container).await?;
        println!("{whole} kills");

        let script = "cd /opt/data/profiles && for soul in */SOUL.md; do
            test -e \"$soul\" && echo \"${soul%/SOUL.md} $(grep -c '\"desired_state\":\"running\"' ${soul%/SOUL.md}/gateway_state.json 2> /dev/null)\"; done; true";
        let recorded = container.shell(script).await?.stdout;
        let mut up: BTreeMap<String, bool> = recorded
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, running)| (name.to_owned(), running == "1"))
            .collect();
        up.insert("default".to_owned(), false);
        wait_slots(&container, &up, SOON).await?;
        let left = "find /opt/data /run/service -name '.*.tmp'; find /opt/data/profiles -name gateway_state.json ! -size +0";
        assert_eq!("", container.shell(left).await?.stdout);
        let ports = "cat /opt/data/profiles/*/.gateway-port 2> /dev/null | cut -d ' ' -f 1 | sort | uniq -d";
        assert_eq!("", container.shell(ports).await?.stdout);
        // Whatever was cut off can be done again.
        for name in ["a", "b", "c"] {
            if !up.contains_key(name) {
                let made = talaria(&container, &["profile", "create", name]).await?;
                assert_eq!(0, made.code, "{name}: {}", made.stderr);
            }
            for command in ["start", "stop"] {
                let done = talaria(&container, &["gateway", command, "-p", name, "--wait"]).await?;
                assert_eq!(0, done.code, "{command} {name}: {}", done.stderr);
            }
            let gone = talaria(&container, &["profile", "delete", name]).await?;
            assert_eq!(0, gone.code, "{name}: {}", gone.stderr);
        }
        assert_eq!(1, slots(&container).await?.len());
        Ok(())
    });
}
