//! A sandbox's walls stand, a weakened one is found out, and ordinary tools work between them.

pub(crate) mod agent;
mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use bollard::models::{DeviceMapping, HostConfig};
use docker_harness::{Container, Failure, Identity, Lab, Spec, on_base};
use rstest::rstest;
use sandbox_core::posture::{
    Finding, Held, MASKED_PATHS, Network, Posture, Probe, READ_ONLY_PATHS, Report, Tmpfs, compare,
    expected, table,
};
use sandbox_core::seccomp::{self, SeccompInput};

use crate::common::SOON;

const AGENT: &str = "/.talaria/sandbox-agent";
const MIB: u64 = 1024 * 1024;

/// A main process that nobody but root with `SYS_PTRACE` can look into, as the agent is: 157 is
/// `prctl`, 4 is `PR_SET_DUMPABLE`.
const MAIN: &str = "syscall(157, 4, 0, 0, 0, 0) == 0 or die; $SIG{TERM} = sub { exit }; $| = 1; print qq(ready\\n); sleep while 1";

/// A sandbox's walls, as its plan would have them.
fn posture(user: Option<(u32, u32)>, network: Network) -> Posture {
    let mut capabilities = vec!["DAC_OVERRIDE", "CHOWN", "FOWNER"];
    if user.is_none() {
        capabilities.extend(["SETUID", "SETGID", "KILL"]);
    }
    let tmpfs = |mib: u64, options: &[&str]| Tmpfs {
        size: Some(mib * MIB),
        options: options.iter().map(ToString::to_string).collect(),
    };
    let (uid, gid) = user.unwrap_or((0, 0));
    Posture {
        uid: Some(uid),
        gid: Some(gid),
        capabilities: capabilities.into_iter().map(str::to_owned).collect(),
        pids: Some(256),
        memory: Some(512 * MIB),
        memory_and_swap: Some(512 * MIB),
        cpus: Some(1500),
        shm: Some(64 * MIB),
        tmpfs: BTreeMap::from([
            ("/tmp".to_owned(), tmpfs(512, &["nosuid"])),
            ("/var/tmp".to_owned(), tmpfs(256, &["nosuid", "noexec"])),
            ("/run".to_owned(), tmpfs(64, &["nosuid", "noexec"])),
        ]),
        network,
        ..Posture::default()
    }
}

/// What the engine is told for these walls, in a way that a test can weaken.
#[derive(Debug, Clone)]
struct Walls {
    spec: Spec,
    capabilities: Vec<String>,
    seccomp: String,
    no_new_privs: bool,
    others: HostConfig,
}

impl Walls {
    fn of(lab: &Lab, posture: &Posture, network: &str) -> Result<Self, Failure> {
        let signed = |number: Option<u64>| number.and_then(|number| i64::try_from(number).ok());
        let mut spec = lab
            .container()
            .bind(agent::built()?, AGENT)
            .entrypoint(["perl", "-e", MAIN])
            .pids_limit(256)
            .cap_drop("ALL")
            .tmpfs("/tmp", "rw,exec,nosuid,size=512m")
            .tmpfs("/var/tmp", "rw,noexec,nosuid,size=256m")
            .tmpfs("/run", "rw,noexec,nosuid,size=64m");
        if let (Some(uid @ 1..), Some(gid)) = (posture.uid, posture.gid) {
            spec = spec.user(&format!("{uid}:{gid}"));
        }
        let list = |paths: &[&str]| Some(paths.iter().map(ToString::to_string).collect());
        let others = HostConfig {
            memory: signed(posture.memory),
            memory_swap: signed(posture.memory_and_swap),
            nano_cpus: signed(posture.cpus.map(|cpus| cpus * 1_000_000)),
            shm_size: signed(posture.shm),
            network_mode: Some(network.to_owned()),
            masked_paths: list(&MASKED_PATHS),
            readonly_paths: list(&READ_ONLY_PATHS),
            ..HostConfig::default()
        };
        Ok(Self {
            spec,
            capabilities: posture.capabilities.iter().cloned().collect(),
            seccomp: seccomp::profile(&SeccompInput::new(&posture.capabilities)).to_json(),
            no_new_privs: true,
            others,
        })
    }

    fn spec(self) -> Spec {
        let mut spec = self.spec.security_opt(&format!("seccomp={}", self.seccomp));
        if self.no_new_privs {
            spec = spec.security_opt("no-new-privileges");
        }
        for capability in &self.capabilities {
            spec = spec.cap_add(capability);
        }
        spec.others(self.others)
    }
}

/// Starts it and waits until its main process has closed itself.
async fn start(lab: &Lab, walls: Walls) -> Result<Container, Failure> {
    let container = lab.create(&walls.spec()).await?;
    container.start().await?;
    container.says("ready", SOON).await?;
    Ok(container)
}

async fn probe(container: &Container, posture: &Posture) -> Result<Vec<Finding>, Failure> {
    let asked = container.exec_as(Identity::Container, [AGENT, "probe"], None);
    let asked = asked.await?;
    assert_eq!((0, ""), (asked.code, &*asked.stderr));
    Ok(compare(&expected(posture), &Report::parse(&asked.stdout)?))
}

fn without(findings: &[Finding], held: &Held) -> BTreeSet<Probe> {
    let such = findings.iter().filter(|finding| finding.held == *held);
    such.map(|finding| finding.probe).collect()
}

/// Whether this machine itself has a metadata service, which its bridges then lead to.
fn machine_has_metadata() -> bool {
    let address = SocketAddr::from(([169, 254, 169, 254], 80));
    match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
    }
}

/// How a sandbox is started.
#[derive(Debug, Clone, Copy)]
enum Who {
    /// As root, which later drops.
    Root,
    /// As an unprivileged user.
    User,
    /// As whoever runs the tests.
    Host,
}

impl Who {
    fn ids(self, lab: &Lab) -> Result<Option<(u32, u32)>, Failure> {
        Ok(match self {
            Self::Root => None,
            Self::User => Some((1000, 1000)),
            Self::Host => {
                let own = std::fs::metadata(lab.scratch())?;
                Some((own.uid(), own.gid()))
            }
        })
    }
}

#[rstest]
fn every_wall_stands(
    #[values(Who::Root, Who::User, Who::Host)] who: Who,
    #[values(Network::None, Network::Isolated)] network: Network,
) {
    on_base(async |lab| {
        let posture = posture(who.ids(lab)?, network);
        let named = match network {
            Network::None => "none".to_owned(),
            Network::Isolated | Network::Named => lab.network(true).await?,
        };
        let container = start(lab, Walls::of(lab, &posture, &named)?).await?;
        // On the same network, and not to be reached.
        let _neighbour = start(lab, Walls::of(lab, &posture, &named)?).await?;
        let findings = probe(&container, &posture).await?;
        let fallen: BTreeSet<_> = findings
            .iter()
            .filter(|finding| finding.held != Held::Yes)
            .map(|finding| finding.probe)
            .collect();
        // A bridge keeps nobody from the machine's metadata service: the finding is the truth.
        let mut open = BTreeSet::new();
        if network == Network::Isolated && machine_has_metadata() {
            open.insert(Probe::NetworkMetadata);
        }
        assert_eq!(open, fallen, "\n{}", table(&findings));
        Ok(())
    });
}

fn capability(walls: &mut Walls, name: &str) {
    walls.capabilities.push(name.to_owned());
}

fn unconfined(walls: &mut Walls) {
    "unconfined".clone_into(&mut walls.seccomp);
}

fn new_privs(walls: &mut Walls) {
    walls.no_new_privs = false;
}

fn sys_admin(walls: &mut Walls) {
    capability(walls, "SYS_ADMIN");
}

fn sys_ptrace(walls: &mut Walls) {
    capability(walls, "SYS_PTRACE");
}

fn net_raw(walls: &mut Walls) {
    capability(walls, "NET_RAW");
}

fn devices_made(walls: &mut Walls) {
    unconfined(walls);
    capability(walls, "MKNOD");
}

fn mounter(walls: &mut Walls) {
    unconfined(walls);
    capability(walls, "SYS_ADMIN");
}

fn engine_socket(walls: &mut Walls) {
    let socket = std::path::Path::new("/var/run/docker.sock");
    walls.spec = walls.spec.clone().bind(socket, "/somewhere/else");
}

fn host_pids(walls: &mut Walls) {
    walls.others.pid_mode = Some("host".to_owned());
}

fn host_ipc(walls: &mut Walls) {
    walls.others.ipc_mode = Some("host".to_owned());
}

fn host_network(walls: &mut Walls) {
    walls.others.network_mode = Some("host".to_owned());
}

fn no_limits(walls: &mut Walls) {
    let others = &mut walls.others;
    (others.memory, others.memory_swap, others.nano_cpus) = (None, None, None);
    others.shm_size = Some(1 << 30);
    walls.spec = walls.spec.clone().pids_limit(-1);
}

fn unmasked(walls: &mut Walls) {
    walls.others.masked_paths = Some(Vec::new());
}

fn writable_paths(walls: &mut Walls) {
    walls.others.readonly_paths = Some(Vec::new());
}

fn loose_tmpfs(walls: &mut Walls) {
    walls.spec = walls.spec.clone().tmpfs("/run", "rw,exec,size=64m");
}

fn device(walls: &mut Walls) {
    walls.others.devices = Some(vec![DeviceMapping {
        path_on_host: Some("/dev/kmsg".to_owned()),
        path_in_container: Some("/dev/innocent".to_owned()),
        cgroup_permissions: Some("r".to_owned()),
    }]);
}

fn cgroups(walls: &mut Walls) {
    let groups = std::path::Path::new("/sys/fs/cgroup");
    let below = groups.join("memory");
    let groups = if below.is_dir() { &below } else { groups };
    walls.spec = walls.spec.clone().bind_writable(groups, "/groups");
}

#[rstest]
#[case::unconfined(unconfined, &["seccomp", "call.clone3", "call.personality", "call.process_vm_readv"])]
#[case::new_privs(new_privs, &["no_new_privs"])]
#[case::sys_admin(sys_admin, &["capabilities.bounding", "capabilities.effective"])]
#[case::sys_ptrace(sys_ptrace, &["capabilities.bounding", "agent.ptrace", "agent.memory"])]
#[case::net_raw(net_raw, &["capabilities.bounding", "socket.raw", "socket.raw6"])]
#[case::devices_made(devices_made, &["capabilities.bounding", "seccomp", "mknod.char"])]
#[case::mounter(mounter, &["capabilities.bounding", "call.mount", "call.umount", "call.fsopen", "unshare.mount", "call.setns", "call.sethostname"])]
#[case::engine_socket(engine_socket, &["engine_sockets"])]
#[case::host_pids(host_pids, &["namespace.pid"])]
#[case::host_ipc(host_ipc, &["namespace.ipc"])]
#[case::host_network(host_network, &["namespace.net", "network.interfaces"])]
#[case::no_limits(no_limits, &["limit.pids", "limit.memory", "limit.memory_and_swap", "limit.cpus", "limit.shm"])]
#[case::unmasked(unmasked, &["paths.masked"])]
#[case::writable_paths(writable_paths, &["paths.read_only", "paths.written"])]
#[case::loose_tmpfs(loose_tmpfs, &["tmpfs"])]
#[case::device(device, &["devices"])]
#[case::cgroups(cgroups, &["cgroup.writable"])]
fn a_weakness_is_found_out_by_root(#[case] weaken: fn(&mut Walls), #[case] found: &[&str]) {
    on_base(async |lab| {
        let posture = posture(None, Network::None);
        let mut walls = Walls::of(lab, &posture, "none")?;
        weaken(&mut walls);
        let container = start(lab, walls).await?;
        let findings = probe(&container, &posture).await?;
        let fallen = without(&findings, &Held::No);
        for name in found {
            assert!(
                fallen.contains(&name.parse()?),
                "{name} is not among {fallen:?}"
            );
        }
        Ok(())
    });
}

#[test]
fn neighbours_that_can_be_reached_are_found_out() {
    on_base(async |lab| {
        let network = lab.network(false).await?;
        let posture = posture(None, Network::Isolated);
        let container = start(lab, Walls::of(lab, &posture, &network)?).await?;
        let _neighbour = start(lab, Walls::of(lab, &posture, &network)?).await?;
        let findings = probe(&container, &posture).await?;
        let fallen = without(&findings, &Held::No);
        assert!(
            fallen.contains(&Probe::NetworkNeighbours),
            "\n{}",
            table(&findings)
        );
        Ok(())
    });
}

#[test]
fn probes_leave_nothing_behind_and_take_less_than_a_second() {
    on_base(async |lab| {
        let posture = posture(None, Network::None);
        let container = start(lab, Walls::of(lab, &posture, "none")?).await?;
        let script = "ls -A /tmp /run /dev/shm /var/tmp / | sort; ls /proc | grep -c '^[0-9]'; cut -d' ' -f3 /proc/1/stat";
        let look = async || {
            container
                .exec_as(Identity::Container, ["sh", "-c", script], None)
                .await
        };
        let before = look().await?;
        let ten =
            format!("for i in 1 2 3 4 5 6 7 8 9 10; do {AGENT} probe > /dev/null || exit; done");
        let timed = format!("start=$(date +%s%3N); {ten}; echo $(($(date +%s%3N) - start))");
        let took = container
            .exec_as(Identity::Container, ["sh", "-c", &timed], None)
            .await?;
        let took: u64 = took.stdout.trim().parse()?;
        // Ten runs on a machine that others use too.
        assert!(took < 10_000, "{took} ms");
        assert_eq!(before.stdout, look().await?.stdout);
        Ok(())
    });
}
