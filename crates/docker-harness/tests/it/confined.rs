//! It boots, works and stops in time under the options that careful people give.

use std::time::{Duration, Instant};

use docker_harness::variant::Promise;
use docker_harness::{Container, Failure, Identity, Lab, Level, Spec, Tree, on_base, wait_for};
use rstest::rstest;

use crate::common::{
    AGENT, AGENT_TOML, GATEWAY, SOON, lines, messages, profile, promised, wait_lines, wait_up,
};

const RUN: &str = "rw,noexec,nosuid,size=64m";

/// A main program that notes its end, as the light gateway does.
const MAIN: &str =
    "trap 'echo main >> /opt/data/order; exit 0' TERM; echo ready; while :; do sleep 0.05; done";

/// How long a stop of what ends at once may take: far below the grace times, far above noise.
const STOP: Duration = Duration::from_secs(2);

/// A volume with a profile that is to run, all of it `uid`'s.
async fn home(lab: &Lab, uid: u32) -> Result<String, Failure> {
    let volume = lab.volume().await?;
    let chown = format!("chown -R {uid}:{uid} /home-to-be");
    let spec = Spec::new(lab.image())
        .entrypoint(["sh", "-c", &chown])
        .user("0:0");
    let files = profile("/home-to-be", u64::from(uid), "coder", "running");
    let made = lab
        .run(
            spec.volume_as_it_is(&volume, "/home-to-be").files(files),
            SOON,
        )
        .await?;
    assert_eq!(0, made.code, "{}", made.output.err());
    Ok(volume)
}

/// The light agent in a container that may have a read-only root: by bind mounts.
async fn confined(lab: &Lab, uid: u32) -> Result<Spec, Failure> {
    let spec = lab
        .container()
        .volume_as_it_is(&home(lab, uid).await?, "/opt/data")
        .shell(MAIN);
    with_light_agent(lab, spec)
}

fn with_light_agent(lab: &Lab, spec: Spec) -> Result<Spec, Failure> {
    let toml = lab.scratch_file("agent.toml", 0o644, AGENT_TOML)?;
    let agent = lab.scratch_file("agent", 0o755, AGENT)?;
    let gateway = lab.scratch_file("gateway", 0o755, GATEWAY)?;
    Ok(spec
        .bind(&toml, "/etc/talaria/agent.toml")
        .bind(&agent, "/opt/light/agent")
        .bind(&gateway, "/opt/light/gateway"))
}

fn as_it_comes(spec: Spec) -> Spec {
    spec
}

fn noexec_run(spec: Spec) -> Spec {
    spec.tmpfs("/run", RUN)
}

fn read_only(spec: Spec) -> Spec {
    spec.read_only().tmpfs("/run", RUN)
}

fn few_capabilities(spec: Spec) -> Spec {
    let spec = spec
        .cap_drop("ALL")
        .cap_add("SETUID")
        .cap_add("SETGID")
        .cap_add("CHOWN");
    spec.security_opt("no-new-privileges")
}

fn few_capabilities_read_only(spec: Spec) -> Spec {
    few_capabilities(read_only(spec))
}

fn as_hermes(spec: Spec) -> Spec {
    spec.user("10000:10000")
}

fn as_another(spec: Spec) -> Spec {
    spec.user("1234:1234")
}

fn under_an_init(spec: Spec) -> Spec {
    spec.init()
}

fn kubernetes(spec: Spec) -> Spec {
    let spec = spec
        .user("10000:10000")
        .cap_drop("ALL")
        .security_opt("no-new-privileges")
        .read_only();
    spec.tmpfs("/run", RUN).tmpfs("/tmp", "rw,nosuid,size=64m")
}

#[rstest]
#[case::as_it_comes(as_it_comes, Promise::OwnInit, 10_000)]
#[case::noexec_run(noexec_run, Promise::NoexecRun, 10_000)]
#[case::read_only(read_only, Promise::ReadOnlyRoot, 10_000)]
#[case::few_capabilities(few_capabilities, Promise::FewCapabilities, 10_000)]
#[case::few_capabilities_read_only(few_capabilities_read_only, Promise::FewCapabilities, 10_000)]
#[case::as_hermes(as_hermes, Promise::AnyUser, 10_000)]
#[case::as_another(as_another, Promise::AnyUser, 1234)]
#[case::under_an_init(under_an_init, Promise::NotFirst, 10_000)]
#[case::kubernetes(kubernetes, Promise::AnyUser, 10_000)]
fn it_boots_works_and_stops(
    #[case] confine: fn(Spec) -> Spec,
    #[case] promise: Promise,
    #[case] uid: u32,
) {
    on_base(async |lab| {
        if !promised(lab, promise) {
            return Ok(());
        }
        let container = lab.start(confine(confined(lab, uid).await?)).await?;
        works(&container, uid).await?;
        stops(&container, uid).await
    });
}

/// The main program and the gateway run as `uid`, and the gateway answers.
async fn works(container: &Container, uid: u32) -> Result<(), Failure> {
    let who = Identity::Ids(uid, uid);
    container.says("ready", SOON).await?;
    let pid = wait_up(container, who, "gateway-coder").await?;
    let started = format!("started {uid}");
    wait_lines(container, who, "/opt/data/notes-coder", &[&started]).await?;
    let asked = container
        .exec_as(
            who,
            ["/command/s6-svc", "-1", "/run/service/gateway-coder"],
            None,
        )
        .await?;
    assert_eq!((0, ""), (asked.code, &*asked.stderr));
    wait_lines(
        container,
        who,
        "/opt/data/notes-coder",
        &[&started, "answered"],
    )
    .await?;
    let processes = container.processes().await?;
    let gateway = processes.get(pid).ok_or("the gateway is gone")?;
    assert_eq!(
        ([uid; 4], [uid; 4], 0),
        (gateway.uids, gateway.gids, gateway.capabilities)
    );
    // The shell and, for a moment each round, the child that is about to become `sleep`.
    let main = processes.with_line(&format!("sh -c {MAIN}"));
    assert!(
        !main.is_empty() && main.iter().all(|main| main.uid() == uid),
        "{}",
        processes.drawn()
    );
    Ok(())
}

/// `docker stop` ends gateway and main program by themselves, the gateway first.
async fn stops(container: &Container, uid: u32) -> Result<(), Failure> {
    let began = Instant::now();
    container.stop(Duration::from_secs(20)).await?;
    let took = began.elapsed();
    let story = container.story().await;
    assert!(took < STOP, "the stop took {took:?}: {story}");
    assert_eq!(0, container.state().await?.exit_code, "{story}");

    // The notes are read from the next life of the container, before it is told to stop.
    container.start().await?;
    let who = Identity::Ids(uid, uid);
    let order = wait_for("the order of the stop", SOON, async || {
        let order = lines(container, who, "/opt/data/order").await?;
        Ok::<_, Failure>(if order.len() >= 2 {
            Level::Holds(order)
        } else {
            Level::Not(format!("{order:?}"))
        })
    });
    assert_eq!(["gateway coder", "main"], *order.await?);
    let notes = lines(container, who, "/opt/data/notes-coder").await?;
    assert_eq!(
        vec![
            format!("started {uid}"),
            "answered".to_owned(),
            "stopped".to_owned()
        ],
        notes[..3]
    );
    Ok(())
}

/// A hook that notes that it ran.
fn hook() -> Tree {
    Tree::new().script("/etc/cont-init.d/00-note", "echo hook ran")
}

#[test]
fn a_home_that_the_user_cannot_write_stops_the_boot_before_anything_runs() {
    on_base(async |lab| {
        if !promised(lab, Promise::AnyUser) {
            return Ok(());
        }
        let spec = lab.container().user("1234:1234").files(hook());
        let spec = spec.volume_as_it_is(&home(lab, 10_000).await?, "/opt/data");
        let ended = lab.run(spec.shell("echo main ran"), SOON).await?;
        assert_eq!((73, ""), (ended.code, &*ended.output.out()));
        let expected = [
            "/opt/data: not writable for uid 1234 gid 1234; it belongs to 10000:10000",
            "hint: start as root with HERMES_UID=10000 HERMES_GID=10000 (or PUID and PGID), or make it writable for 1234:1234",
        ];
        assert_eq!(expected, *messages(&ended.output.err()));
        Ok(())
    });
}

#[test]
fn a_read_only_root_without_a_writable_run_stops_the_boot() {
    on_base(async |lab| {
        if !promised(lab, Promise::ReadOnlyRoot) {
            return Ok(());
        }
        for user in ["0:0", "10000:10000"] {
            let ended = lab
                .run(
                    lab.container()
                        .user(user)
                        .read_only()
                        .shell("echo main ran"),
                    SOON,
                )
                .await?;
            assert_eq!(
                (73, ""),
                (ended.code, &*ended.output.out()),
                "{user}: {}",
                ended.output.err()
            );
            let expected = [
                "/run: read-only file system",
                "hint: with --read-only add --tmpfs /run:rw,noexec,nosuid,size=64m",
            ];
            assert_eq!(expected, *messages(&ended.output.err()), "{user}");
        }
        Ok(())
    });
}

#[test]
fn root_that_may_not_become_hermes_stops_the_boot() {
    on_base(async |lab| {
        if !promised(lab, Promise::FewCapabilities) {
            return Ok(());
        }
        let ended = lab
            .run(lab.container().cap_drop("ALL").shell("echo main ran"), SOON)
            .await?;
        assert_eq!(
            (126, ""),
            (ended.code, &*ended.output.out()),
            "{}",
            ended.output.err()
        );
        let expected = [
            "cannot become uid 10000 gid 10000: EPERM: Operation not permitted",
            "hint: add --cap-add SETUID --cap-add SETGID, or start with --user 10000:10000",
        ];
        assert_eq!(expected, *messages(&ended.output.err()));
        Ok(())
    });
}
