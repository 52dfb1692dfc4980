//! What `docker run` says of a container, as a spec.
//!
//! A sandbox may be stricter than what is asked, and never looser: what it would not keep is refused.

use std::ffi::OsString;

use sandbox_core::{MountFile, Scalar, SpecFile};
use sandbox_engine::Pull;

use super::Odd;
use super::words::{Flag, Line, Order, read};
use crate::sandbox::spec;

/// A container that is asked for.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) spec: SpecFile,
    pub(super) pull: Pull,
}

/// What `docker run` is asked to do.
#[derive(Debug)]
pub(super) enum Run {
    /// Start a container, and leave it running.
    Start(Box<Container>),
    /// Find out whether a container with these limits could be.
    Try(Box<Container>),
}

const FLAGS: [Flag; 22] = [
    Flag::value("cap-add"),
    Flag::value("cap-drop"),
    Flag::value("cpus"),
    Flag::switch("detach").or('d'),
    Flag::value("env").or('e'),
    Flag::switch("init"),
    Flag::value("label").or('l'),
    Flag::value("memory").or('m'),
    Flag::value("name"),
    Flag::value("net"),
    Flag::value("network"),
    Flag::value("pids-limit"),
    Flag::value("pull"),
    Flag::switch("rm"),
    Flag::value("runtime"),
    Flag::value("security-opt"),
    Flag::value("shm-size"),
    Flag::value("storage-opt"),
    Flag::value("tmpfs"),
    Flag::value("user").or('u'),
    Flag::value("volume").or('v'),
    Flag::value("workdir").or('w'),
];

/// The label that says how long a sandbox lives unused, for configurations that can add options to
/// `docker run` and nothing else.
const LEASE: &str = "talaria.lease";
const PROFILE: &str = "hermes-profile";

/// Capabilities that sandboxes have, those that start as root the last three as well.
const CAPABILITIES: [&str; 6] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "KILL",
    "SETGID",
    "SETUID",
];

/// Where sandboxes have a temporary file system, of which size, and whether programs can be run
/// from it; nothing where that is the image's to decide.
const TMPFS: [(&str, &str, Option<bool>); 6] = [
    ("/home", "1g", Some(true)),
    ("/root", "1g", Some(true)),
    ("/run", "64m", None),
    ("/tmp", "512m", Some(true)),
    ("/var/tmp", "256m", Some(false)),
    ("/workspace", "10g", Some(true)),
];

/// Reads what follows `docker run`.
pub(super) fn run(words: &[OsString]) -> Result<Run, Odd> {
    let line = read(words, &FLAGS, Order::OptionsFirst)?;
    let texts: Option<Vec<&str>> = line.words.iter().map(|word| word.to_str()).collect();
    let texts = texts.ok_or(Odd::NotText)?;
    let [image, command @ ..] = &texts[..] else {
        return Err(Odd::Form("run OPTIONS IMAGE sleep infinity"));
    };
    let container = Container {
        pull: pull(&line)?,
        spec: spec(&line, image)?,
    };
    let container = Box::new(container);
    match (line.has("detach"), line.has("rm"), command) {
        (true, _, ["sleep", "infinity"]) if line.has("name") => Ok(Run::Start(container)),
        (true, _, ["sleep", "infinity"]) => Err(Odd::Form("run -d --name NAME …")),
        (true, ..) => Err(Odd::Form("run -d … IMAGE sleep infinity")),
        (false, true, ["sleep", "0"]) => Ok(Run::Try(container)),
        (false, ..) => Err(Odd::Form("run -d …")),
    }
}

fn pull(line: &Line) -> Result<Pull, Odd> {
    match line.last("pull") {
        None | Some("missing") => Ok(Pull::Missing),
        Some("always") => Ok(Pull::Always),
        Some("never") => Ok(Pull::Never),
        Some(other) => Err(Odd::value("--pull", other, "always, missing or never")),
    }
}

fn spec(line: &Line, image: &str) -> Result<SpecFile, Odd> {
    let mut spec = SpecFile {
        image: Some(image.to_owned()),
        persist: Some(!line.has("rm")),
        ..SpecFile::default()
    };
    for (option, value) in &line.options {
        let text = || Some(value.clone());
        let number = || number(option, value).map(Some);
        match *option {
            "cap-add" => capability(value)?,
            "cpus" => spec.cpus = number()?,
            "env" => {
                let (name, value) = spec::variable(value);
                spec.env.insert(name, value);
            }
            "label" => label(&mut spec, value),
            "memory" => spec.memory = number()?,
            "name" => spec.task = text(),
            "net" | "network" => spec.network = Some(network(option, value)?),
            "pids-limit" => spec.pids = number()?,
            "runtime" => spec.runtime = text(),
            "security-opt" => security(value)?,
            "shm-size" => spec.shm = number()?,
            "storage-opt" => match value.split_once('=') {
                Some(("size", size)) => spec.disk = Some(self::number(option, size)?),
                _ => return Err(Odd::value("--storage-opt", value, "size=SIZE")),
            },
            "tmpfs" => tmpfs(value)?,
            "user" => spec.user = Some(Scalar::Text(value.clone())),
            "volume" => spec.mounts.push(MountFile::Text(value.clone())),
            "workdir" => spec.cwd = text(),
            // All capabilities are dropped, the agent reaps what dies, and the rest is read elsewhere.
            "cap-drop" | "detach" | "init" | "pull" | "rm" => {}
            other => unreachable!("--{other} is in the table and not here"),
        }
    }
    let mounted = |at: &str| spec.mounts.iter().any(|mount| target(mount) == at);
    let temporary: Vec<&str> = line
        .options
        .iter()
        .filter(|(option, _)| *option == "tmpfs")
        .map(|(_, value)| value.split(':').next().unwrap_or(value))
        .collect();
    if let Some(twice) = temporary.iter().find(|at| mounted(at)) {
        return Err(Odd::value(
            "--tmpfs",
            twice,
            "a path where nothing is mounted",
        ));
    }
    // Such a container keeps all that is not a mount in its own file system, /home too.
    let kept = mounted("/root") && mounted("/workspace") && !temporary.contains(&"/home");
    spec.persistent_filesystem = Some(kept);
    Ok(spec)
}

/// A limit. The words for none at all are the spec's, and docker has none.
fn number(option: &str, value: &str) -> Result<Scalar, Odd> {
    if value.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(Scalar::Text(value.to_owned()));
    }
    Err(Odd::value(&format!("--{option}"), value, "a limit"))
}

fn capability(value: &str) -> Result<(), Odd> {
    let name = value.to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    if CAPABILITIES.contains(&name) {
        return Ok(());
    }
    Err(Odd::value("--cap-add", value, &CAPABILITIES.join(", ")))
}

fn security(value: &str) -> Result<(), Odd> {
    match value {
        "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true" => Ok(()),
        _ => Err(Odd::value("--security-opt", value, "no-new-privileges")),
    }
}

fn network(option: &str, value: &str) -> Result<String, Odd> {
    match value {
        "none" => Ok("none".to_owned()),
        // Sandboxes have a bridge of their own, on which they do not reach each other.
        "bridge" | "default" => Ok("isolated".to_owned()),
        _ if value == "host" || value.contains([':', '=', ',']) => Err(Odd::value(
            &format!("--{option}"),
            value,
            "none, bridge, or the name of a network",
        )),
        name => Ok(format!("named:{name}")),
    }
}

fn label(spec: &mut SpecFile, value: &str) {
    let (name, value) = spec::label(value);
    if name == LEASE {
        spec.lease = Some(Scalar::Text(value));
        return;
    }
    if name == PROFILE {
        spec.profile = Some(value.clone());
    }
    spec.labels.insert(name, value);
}

/// Makes sure that sandboxes have that temporary file system by themselves.
fn tmpfs(value: &str) -> Result<(), Odd> {
    let (path, options) = value.split_once(':').unwrap_or((value, ""));
    let Some((_, size, runs)) = TMPFS.iter().find(|(known, ..)| *known == path) else {
        let paths = TMPFS.map(|(path, ..)| path).join(", ");
        return Err(Odd::value("--tmpfs", value, &paths));
    };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let is_kept = match option {
            "rw" | "nosuid" | "nodev" => true,
            "exec" => *runs != Some(false),
            "noexec" => *runs != Some(true),
            _ => option.strip_prefix("size=") == Some(size),
        };
        if !is_kept {
            let runs = if *runs == Some(true) {
                "exec"
            } else {
                "noexec"
            };
            let has = format!("{path}:rw,{runs},nosuid,nodev,size={size}");
            return Err(Odd::value("--tmpfs", value, &has));
        }
    }
    Ok(())
}

/// Where a mount is, as far as it says so; what it does not is found wrong later.
fn target(mount: &MountFile) -> &str {
    match mount {
        MountFile::Text(text) => text.split(':').nth(1).unwrap_or_default(),
        MountFile::Table(table) => &table.target,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use sandbox_core::{Caller, Limit, Network, Owner, SandboxSpec, Size, Workspace};

    use super::*;

    /// What the agent's backend says of security, where the container starts as root.
    const HARDENED: &str = "--cap-drop ALL --cap-add DAC_OVERRIDE --cap-add CHOWN --cap-add FOWNER \
        --security-opt no-new-privileges --tmpfs /tmp:rw,nosuid,size=512m \
        --tmpfs /var/tmp:rw,noexec,nosuid,size=256m --tmpfs /run:rw,noexec,nosuid,size=64m \
        --cap-add SETUID --cap-add SETGID";

    fn said(text: &str) -> Result<Run, Odd> {
        let words: Vec<_> = text.split_whitespace().map(OsString::from).collect();
        run(&words)
    }

    fn spec_of(text: &str) -> SandboxSpec {
        let Ok(Run::Start(container)) = said(text) else {
            panic!("{text} starts no container");
        };
        let caller = Caller::new(Owner::new("me").unwrap());
        SandboxSpec::try_from(container.spec, &caller).unwrap()
    }

    #[test]
    fn what_the_agent_asks_for_is_a_sandbox() {
        let spec = spec_of(&format!(
            "-d --init --name hermes-1a2b3c4d --label hermes-agent=1 --label hermes-task-id=t \
             --label hermes-profile=coder -w /root {HARDENED} --tmpfs /workspace:rw,exec,size=10g \
             --tmpfs /home:rw,exec,size=1g --tmpfs /root:rw,exec,size=1g --cpus 1 --memory 5120m \
             --pids-limit 256 --network=none -v /srv/x:/x:ro -e A=b --label talaria.lease=8h \
             debian:trixie sleep infinity"
        ));
        assert_eq!(spec.image, "debian:trixie");
        assert_eq!(spec.identity.task.as_str(), "hermes-1a2b3c4d");
        assert_eq!(spec.identity.profile.as_str(), "coder");
        assert_eq!(spec.labels["hermes-task-id"], "t");
        assert!(!spec.labels.contains_key(LEASE));
        assert_eq!(spec.lease.seconds(), 8 * 3600);
        assert_eq!(spec.cwd.as_str(), "/root");
        assert_eq!(spec.memory, Limit::Set(Size::from_mib(5120)));
        assert_eq!(spec.pids, Limit::Set(256));
        assert_eq!(spec.network, Network::None);
        assert!(spec.mounts[0].read_only);
        assert_eq!(spec.env.len(), 1);
        assert_eq!(spec.workspace, Workspace::Tmpfs);
        assert!(spec.persist && !spec.persistent_filesystem);
        assert!(spec.extra_args.is_empty());
    }

    #[test]
    fn directories_that_are_kept_leave_home_to_the_image() {
        let spec = spec_of(&format!(
            "-d --name x {HARDENED} -v /srv/h:/root -v /srv/w:/workspace -u 1000:1000 i sleep infinity"
        ));
        assert!(spec.persistent_filesystem);
        assert_eq!(spec.workspace, Workspace::Mount);
        assert_eq!(spec.mounts.len(), 2);
        // One that is made new of what is not kept is temporary, as everywhere.
        let spec = spec_of("-d --name x -v /srv/h:/root i sleep infinity");
        assert!(!spec.persistent_filesystem);
    }

    #[test]
    fn a_trial_of_limits_is_known() {
        let tried = said("--rm --cpus 0.5 --memory 64m --pids-limit 32 debian:trixie sleep 0");
        assert!(matches!(tried, Ok(Run::Try(_))), "{tried:?}");
    }

    #[rstest]
    #[case::privileged("-d --name x --privileged i sleep infinity", "--privileged")]
    #[case::devices("-d --name x --device /dev/kvm i sleep infinity", "--device")]
    #[case::ports("-d --name x -p 80:80 i sleep infinity", "-p")]
    #[case::host_pids("-d --name x --pid=host i sleep infinity", "--pid")]
    #[case::capability(
        "-d --name x --cap-add SYS_ADMIN i sleep infinity",
        "--cap-add SYS_ADMIN"
    )]
    #[case::all("-d --name x --cap-add ALL i sleep infinity", "--cap-add ALL")]
    #[case::seccomp(
        "-d --name x --security-opt seccomp=unconfined i sleep infinity",
        "--security-opt seccomp=unconfined"
    )]
    #[case::apparmor(
        "-d --name x --security-opt apparmor=unconfined i sleep infinity",
        "--security-opt apparmor=unconfined"
    )]
    #[case::privileges(
        "-d --name x --security-opt no-new-privileges:false i sleep infinity",
        "--security-opt no-new-privileges:false"
    )]
    #[case::host_network("-d --name x --network host i sleep infinity", "--network host")]
    #[case::joined("-d --name x --net=container:y i sleep infinity", "--net container:y")]
    #[case::no_pid_limit("-d --name x --pids-limit -1 i sleep infinity", "--pids-limit -1")]
    #[case::unlimited(
        "-d --name x --memory unlimited i sleep infinity",
        "--memory unlimited"
    )]
    #[case::elsewhere("-d --name x --tmpfs /opt i sleep infinity", "--tmpfs /opt")]
    #[case::size(
        "-d --name x --tmpfs /tmp:size=4g i sleep infinity",
        "--tmpfs /tmp:size=4g"
    )]
    #[case::noexec(
        "-d --name x --tmpfs /tmp:noexec i sleep infinity",
        "--tmpfs /tmp:noexec"
    )]
    #[case::exec(
        "-d --name x --tmpfs /var/tmp:exec i sleep infinity",
        "--tmpfs /var/tmp:exec"
    )]
    #[case::twice(
        "-d --name x -v /a:/root --tmpfs /root i sleep infinity",
        "--tmpfs /root"
    )]
    #[case::other_command("-d --name x i bash", "sleep infinity")]
    #[case::nameless("-d i sleep infinity", "--name")]
    #[case::foreground("--rm i bash", "run -d")]
    #[case::interactive("-it i bash", "-i")]
    #[case::no_image("-d --name x", "IMAGE")]
    fn what_a_sandbox_would_not_keep_is_refused(#[case] text: &str, #[case] named: &str) {
        let odd = said(text).unwrap_err().to_string();
        assert!(odd.contains(named), "{odd}");
    }
}
