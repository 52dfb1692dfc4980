//! The agent of a sandbox in hardened containers, alone and under an image's init.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bollard::models::HostConfig;
use docker_harness::{Container, Failure, Identity, Lab, Spec, on_base};
use rstest::rstest;
use sandbox_agent::client::Client;
use sandbox_agent::wire::{
    Channel, End, Entry, EntryKind, Follow, Get, MAX_DATA, Overwrite, Put, RunSpec, SessionSpec,
    ToAgent, ToClient,
};
use sandbox_core::seccomp::{self, SeccompInput};

use crate::common::SOON;
use crate::posture::agent;

const AGENT: &str = "/.talaria/sandbox-agent";
/// How many `sleep` run in the sandbox, in an image without `ps`.
const SLEEPERS: &str = "cat /proc/[0-9]*/comm 2>/dev/null | grep -cx sleep; true";
const PATIENCE: Duration = Duration::from_mins(1);

/// What the sandbox's main process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Main {
    /// The agent itself.
    Agent,
    /// The image's init, which runs the agent.
    Init,
}

/// Whom it is started as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    User,
    /// As root that can neither signal nor give files to others.
    WeakRoot,
    /// As the root of a sandbox's plan.
    Root,
}

fn hardened(lab: &Lab, main: Main, start: Start, lease: u32) -> Result<Spec, Failure> {
    let lease = lease.to_string();
    let serve = ["serve", "--lease", &lease];
    let capabilities: &[&str] = match start {
        Start::User => &[],
        Start::WeakRoot => &["SETUID", "SETGID", "DAC_OVERRIDE"],
        Start::Root => &[
            "SETUID",
            "SETGID",
            "DAC_OVERRIDE",
            "CHOWN",
            "FOWNER",
            "KILL",
        ],
    };
    let mut spec = lab.container().bind(agent::built()?, AGENT);
    spec = match main {
        Main::Agent => spec.entrypoint([AGENT]).command(serve),
        Main::Init => spec.command([&[AGENT][..], &serve].concat()),
    };
    if start == Start::User {
        spec = spec.user("1000:1000");
    }
    let home = match start {
        Start::User => "rw,nosuid,size=16m,uid=1000,gid=1000",
        Start::WeakRoot | Start::Root => "rw,nosuid,size=16m",
    };
    let profile = seccomp::profile(&SeccompInput::new(capabilities)).to_json();
    spec = spec
        .read_only()
        .tmpfs("/tmp", "rw,exec,nosuid,size=64m")
        .tmpfs("/run", "rw,noexec,nosuid,size=16m")
        .tmpfs("/opt/data", home)
        .pids_limit(256)
        .cap_drop("ALL")
        .security_opt("no-new-privileges")
        .security_opt(&format!("seccomp={profile}"))
        .others(HostConfig {
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        });
    for capability in capabilities {
        spec = spec.cap_add(capability);
    }
    Ok(spec)
}

/// A client and the attached exec that made it.
struct Connected {
    client: Client,
    exec: Child,
}

impl Drop for Connected {
    fn drop(&mut self) {
        // The attached exec ends with its streams where it has not yet.
        self.exec.kill().unwrap_or_default();
        if let Err(error) = self.exec.wait() {
            eprintln!("docker exec: {error}");
        }
    }
}

/// Tries until the agent serves.
fn connect(container: &Container, user: Option<&str>) -> Result<Connected, Failure> {
    let end = Instant::now() + PATIENCE;
    loop {
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs);
        let mut docker = Command::new("docker");
        docker.args(["exec", "-i"]);
        if let Some(user) = user {
            docker.args(["--user", user]);
        }
        let exec = docker
            .args([container.name(), AGENT, "connect"])
            .stdin(Stdio::from(theirs.try_clone()?))
            .stdout(Stdio::from(theirs))
            .spawn()?;
        // It holds the exec's ends, too, and an exec that has failed would not be noticed.
        drop(docker);
        match Client::new(ours.try_clone()?.into(), ours.into(), PATIENCE) {
            Ok(client) => return Ok(Connected { client, exec }),
            Err(error) if Instant::now() >= end => return Err(error.into()),
            Err(_) => drop(exec.wait_with_output()),
        }
    }
}

fn session(client: &mut Client, user: Option<&str>) -> Result<u32, Failure> {
    let spec = SessionSpec {
        cwd: None,
        env: Vec::new(),
        user: user.map(str::to_owned),
        login: true,
    };
    Ok(client.number(&ToAgent::SessionOpen(spec))?.try_into()?)
}

fn root_entry(kind: EntryKind, size: u64) -> ToAgent {
    ToAgent::Entry(Entry {
        path: "".into(),
        kind,
        mode: 0o640,
        size,
        target: "".into(),
    })
}

fn put(client: &mut Client, path: &str, content: &[u8]) -> Result<ToClient, Failure> {
    let id = client.id();
    client.send(
        id,
        &ToAgent::Put(Put {
            path: path.into(),
            user: None,
            overwrite: Overwrite::Replace,
            parents: false,
        }),
    );
    client.send(id, &root_entry(EntryKind::File, content.len() as u64));
    for piece in content.chunks(MAX_DATA) {
        client.send(id, &ToAgent::Data(Channel::Stdin, piece.to_vec()));
    }
    client.send(id, &ToAgent::Eof(Channel::Stdin));
    loop {
        match client.next(id)? {
            ToClient::Credit(_) => {}
            other => return Ok(other),
        }
    }
}

fn get(client: &mut Client, path: &str) -> Result<Vec<u8>, Failure> {
    let id = client.id();
    client.send(
        id,
        &ToAgent::Get(Get {
            path: path.into(),
            user: None,
        }),
    );
    let mut content = Vec::new();
    loop {
        match client.next(id)? {
            ToClient::Data(_, bytes) => content.extend(bytes),
            ToClient::Done(_) => return Ok(content),
            _ => {}
        }
    }
}

#[rstest]
#[case::user(Main::Agent, Start::User, None)]
#[case::weak_root(Main::Agent, Start::WeakRoot, None)]
#[case::root(Main::Agent, Start::Root, Some("1000:1000"))]
#[case::user_under_init(Main::Init, Start::User, None)]
#[case::root_under_init(Main::Init, Start::Root, None)]
fn an_agent_serves_in_a_hardened_container(
    #[case] main: Main,
    #[case] start: Start,
    #[case] user: Option<&str>,
) {
    on_base(async |lab| {
        let container = lab.start(hardened(lab, main, start, 0)?).await?;
        let mut connected = connect(&container, None)?;
        let client = &mut connected.client;
        let uid = match (main, start) {
            (_, Start::User) => 1000,
            (Main::Init, _) => 10_000,
            (Main::Agent, _) => 0,
        };
        assert_eq!(client.hello().uid, uid);
        assert_eq!(client.hello().pid == 1, main == Main::Agent);

        let whoami = client.run(RunSpec::argv(["id", "-u"]))?;
        assert_eq!(whoami.text(), format!("{uid}\n"));
        let fresh = client.run(RunSpec::shell("echo out; echo err >&2; exit 7"))?;
        assert_eq!(
            (fresh.text().as_str(), &fresh.stderr[..], fresh.ended.end),
            ("out\n", &b"err\n"[..], End::Exited(7))
        );
        // Neither its memory nor its descriptors are a command's to see, same user or not.
        let pid = client.hello().pid;
        // Root may count descriptors, and neither follow nor open one.
        let peek = format!(
            "for p in {pid} $PPID; do cat /proc/$p/mem /proc/$p/environ; readlink /proc/$p/fd/*; done"
        );
        assert_eq!(client.run(RunSpec::shell(&*peek))?.text(), "");

        let spec = RunSpec {
            timeout_ms: 700,
            user: user.map(str::to_owned),
            ..RunSpec::shell(
                "setsid sleep 77 & (setsid sh -c '(env -i setsid sleep 77 &) &' &); trap '' TERM; echo on; sleep 77",
            )
        };
        let done = client.run(spec)?;
        assert_eq!(done.text(), "on\n");
        assert!(
            done.ended.timed_out && done.ended.survivors == 0,
            "{:?}",
            done.ended
        );
        assert!(done.ended.killed >= 3, "{:?}", done.ended);
        let left = client.run(RunSpec::shell(SLEEPERS))?;
        assert_eq!(left.text(), "0\n");

        let number = session(client, user)?;
        let mut within = |script: &str, timeout_ms| {
            client.run(RunSpec {
                session: number,
                timeout_ms,
                ..RunSpec::shell(script)
            })
        };
        within("cd /tmp; export A=1; f() { echo f$A; }", 0)?;
        let done = within("f; pwd", 0)?;
        assert_eq!(
            (done.text().as_str(), done.ended.cwd),
            ("f1\n/tmp\n", Some("/tmp".into()))
        );
        let done = within("setsid sleep 77 & sleep 77", 500)?;
        assert!(
            done.ended.timed_out && done.ended.survivors == 0,
            "{:?}",
            done.ended
        );
        assert_eq!(within(&format!("f; {SLEEPERS}"), 0)?.text(), "f1\n0\n");
        client.number(&ToAgent::SessionClose(number))?;

        let spec = RunSpec {
            user: user.map(str::to_owned),
            ..RunSpec::shell("echo begun; exec sleep 77")
        };
        let job = client.number(&ToAgent::JobStart(spec, 65536))?;
        let job = u32::try_from(job)?;
        drop(connected);
        let mut connected = connect(&container, None)?;
        let client = &mut connected.client;
        let id = client.id();
        client.send(
            id,
            &ToAgent::JobFollow(Follow {
                job,
                from_start: true,
                wait: true,
            }),
        );
        assert!(matches!(client.next(id)?, ToClient::Data(_, bytes) if bytes == b"begun\n"));
        assert!(client.number(&ToAgent::JobKill(job))? >= 1);
        assert_eq!(client.finish(id)?.ended.end, End::Signalled(9));

        let content = vec![7; 200_000];
        assert_eq!(put(client, "/tmp/file", &content)?, ToClient::Done(200_000));
        assert_eq!(get(client, "/tmp/file")?, content);
        let refused = put(client, "/etc/file", b"x").unwrap_err().to_string();
        assert!(refused.contains("Read-only file system"), "{refused}");

        if main == Main::Agent {
            // Commands of its own user neither end nor stop the first process.
            let all = client.run(RunSpec::shell(&*format!(
                "kill -9 {pid}; kill -STOP {pid}; kill {pid}; echo on"
            )))?;
            assert_eq!(all.text(), "on\n");
            let id = client.start(RunSpec::shell("kill -9 -1"));
            // It takes its own connection with it.
            drop(client.next(id));
            let mut connected = connect(&container, None)?;
            let again = connected.client.run(RunSpec::argv(["id", "-u"]))?;
            assert_eq!(again.text(), format!("{uid}\n"));
        }
        Ok(())
    });
}

/// The engine's `exec` is root's by default, whoever the image's init has become.
#[test]
fn root_connects_to_an_agent_that_an_init_runs_as_another_user() {
    on_base(async |lab| {
        let spec = lab
            .container()
            .bind(agent::built()?, AGENT)
            .command([AGENT, "serve"]);
        let container = lab.start(spec).await?;
        for user in [None, Some("0"), Some("10000")] {
            let mut connected = connect(&container, user)?;
            assert_eq!(connected.client.hello().uid, 10_000);
            let done = connected.client.run(RunSpec::argv(["id", "-u"]))?;
            assert_eq!(done.text(), "10000\n");
        }
        let stranger = container.exec_as(Identity::Ids(4321, 4321), [AGENT, "connect"], None);
        let stranger = stranger.await?;
        assert_eq!(1, stranger.code);
        assert!(
            stranger.stderr.contains("belongs to uid 10000"),
            "{}",
            stranger.stderr
        );
        Ok(())
    });
}

/// In seconds: long enough for a busy engine to start an exec in.
const LEASE: u32 = 8;

#[rstest]
fn a_lapsed_lease_ends_the_container(#[values(Main::Agent, Main::Init)] main: Main) {
    on_base(async |lab| {
        let container = lab.start(hardened(lab, main, Start::User, LEASE)?).await?;
        let mut connected = connect(&container, None)?;
        connected
            .client
            .run(RunSpec::shell("setsid sleep 77 & true"))?;
        let used = Instant::now();
        assert_eq!(0, container.wait(SOON).await?);
        let took = used.elapsed();
        println!("{main:?}: a lease of {LEASE} s ended the container after {took:.1?}");
        assert!(
            took >= Duration::from_secs(u64::from(LEASE) - 1),
            "{took:?}"
        );
        Ok(())
    });
}

#[test]
fn a_killed_agent_ends_a_container_under_its_init() {
    on_base(async |lab| {
        let container = lab
            .start(hardened(lab, Main::Init, Start::User, 0)?)
            .await?;
        let mut connected = connect(&container, None)?;
        connected
            .client
            .run(RunSpec::shell("setsid sleep 77 & true"))?;
        let pid = connected.client.hello().pid.to_string();
        let begun = Instant::now();
        container
            .exec_as(
                Identity::Container,
                ["sh", "-c", "kill -9 \"$0\"", &pid],
                None,
            )
            .await?;
        assert_eq!(137, container.wait(SOON).await?);
        println!(
            "the container ended {:.1?} after its agent",
            begun.elapsed()
        );
        Ok(())
    });
}
