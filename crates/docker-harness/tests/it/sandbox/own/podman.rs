//! A Podman beside the machine's engine: the one that is installed, or Debian 12's, fetched and
//! unpacked where tests keep things.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::mpsc::channel;

use docker_harness::engine::skip;
use docker_harness::{Failure, TestResult};
use rustix::process::{Resource, getrlimit};
use sandbox_engine::find::Address;
use sandbox_engine::{Engine, Tools};

use super::{Service, give_image, missing, on_path};
use crate::sandbox::Rig;

/// What Podman consists of in Debian 12, beside what dockerd needs as well.
const PACKAGES: [&str; 10] = [
    "podman",
    "conmon",
    "netavark",
    "aardvark-dns",
    "catatonit",
    "golang-github-containers-common",
    "golang-github-containers-image",
    "libassuan0",
    "libgpgme11",
    "libsubid4",
];

/// Lets the rig use Podman, and tells whether there is one; where there is none, that is told.
pub(in crate::sandbox) async fn lend(rig: &mut Rig<'_>) -> Result<bool, Failure> {
    static SOCKET: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let socket = SOCKET.get_or_init(|| {
        let (tell, told) = channel();
        // The service ends with the thread that starts it: with this program.
        std::thread::spawn(move || {
            let started = serve();
            let socket = started.as_ref().map(|(_, socket)| socket.clone());
            tell.send(socket.map_err(ToString::to_string)).ok();
            loop {
                std::thread::park();
            }
        });
        told.recv().map_err(|error| error.to_string())?
    });
    match socket {
        Ok(socket) => {
            // It opens seccomp profiles as files.
            let tools = Tools {
                command_line: None,
                directory: Some(rig.lab.scratch().to_owned()),
            };
            let engine = Engine::at(Address::Unix(socket.clone())).await?;
            rig.engine = engine.with_tools(tools);
            rig.address = Some(format!("unix://{}", socket.display()));
            Ok(true)
        }
        Err(why) => {
            skip(rig.lab.test(), &format!("no Podman: {why}"));
            Ok(false)
        }
    }
}

/// Podman's service, its socket, and what keeps others from the same files.
type Served = ((Service, File), PathBuf);

fn serve() -> Result<Served, Failure> {
    if let Some(why) = missing(&["runc"]) {
        return Err(why.into());
    }
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("podman");
    fs::create_dir_all(&place)?;
    let lock = File::create(place.join("lock"))?;
    lock.lock()?;
    let podman = Podman::find(&place)?;
    podman.configure()?;
    // What a run that was killed has left.
    run(podman
        .command()
        .args(["rm", "--all", "--force", "--volumes", "--time", "0"]))?;
    let policy = place.join("policy.json");
    give_image(
        podman
            .command()
            .arg("load")
            .arg("--signature-policy")
            .arg(policy),
    )?;
    // A path of a socket is short, and a target folder may be deep down.
    let socket = std::env::temp_dir().join(format!("tal-podman-{}.sock", std::process::id()));
    let mut command = podman.command();
    command.args(["system", "service", "--time", "0"]);
    command.arg(format!("unix://{}", socket.display()));
    let mut service = Service::start(&command, &place.join("log"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(service.engine(&socket))?;
    Ok(((service, lock), socket))
}

struct Podman {
    place: PathBuf,
    /// Where it was unpacked; none where it is installed.
    unpacked: Option<PathBuf>,
}

impl Podman {
    fn find(place: &Path) -> Result<Self, Failure> {
        let installed = on_path("podman").is_some();
        let unpacked = if installed { None } else { Some(fetch(place)?) };
        let place = place.to_owned();
        Ok(Self { place, unpacked })
    }

    fn command(&self) -> Command {
        let mut command = match &self.unpacked {
            None => Command::new("podman"),
            Some(root) => {
                let mut command = Command::new(root.join("usr/bin/podman"));
                let library = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
                command.env("LD_LIBRARY_PATH", root.join(library));
                command
            }
        };
        command
            .env("CONTAINERS_CONF", self.place.join("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", self.place.join("storage.conf"))
            .arg("--tmpdir")
            .arg(self.place.join("run/libpod"));
        command
    }

    /// Everything is kept apart from what an installed one keeps.
    fn configure(&self) -> TestResult {
        let place = self.place.display();
        // Its own defaults are above what this machine may allow.
        let limit = |resource| getrlimit(resource).maximum.unwrap_or(4096).min(4096);
        let (files, processes) = (limit(Resource::Nofile), limit(Resource::Nproc));
        let programs = self.unpacked.as_ref().map_or_else(String::new, |root| {
            let root = root.display();
            format!(
                "conmon_path = [\"{root}/usr/bin/conmon\"]\n\
                 helper_binaries_dir = [\"{root}/usr/lib/podman\"]\n\
                 init_path = \"{root}/usr/bin/catatonit\"\n"
            )
        });
        let config = format!(
            "[containers]\n\
             default_ulimits = [\"nofile={files}:{files}\", \"nproc={processes}:{processes}\"]\n\
             [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
             {programs}\
             [network]\nnetwork_backend = \"netavark\"\nnetwork_config_dir = \"{place}/networks\"\n"
        );
        fs::write(self.place.join("containers.conf"), config)?;
        let overlay = on_path("fuse-overlayfs").map_or_else(String::new, |program| {
            format!(
                // A mount of its own would stay when it has ended.
                "[storage.options.overlay]\nmount_program = \"{}\"\nskip_mount_home = \"true\"\n",
                program.display()
            )
        });
        let driver = if overlay.is_empty() { "vfs" } else { "overlay" };
        let storage = format!(
            "[storage]\ndriver = \"{driver}\"\ngraphroot = \"{place}/graph\"\n\
             runroot = \"{place}/run\"\n{overlay}"
        );
        fs::write(self.place.join("storage.conf"), storage)?;
        // Images come from an engine that is trusted as much.
        let policy = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;
        fs::write(self.place.join("policy.json"), policy)?;
        Ok(())
    }
}

/// Debian's packages, unpacked once.
fn fetch(place: &Path) -> Result<PathBuf, Failure> {
    let root = place.join("root");
    if root.is_dir() {
        return Ok(root);
    }
    let packages = place.join("packages");
    let staged = place.join("root.new");
    for directory in [&packages, &staged] {
        fs::remove_dir_all(directory).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        fs::create_dir_all(directory)?;
    }
    let mut download = Command::new("apt-get");
    run(download
        .arg("download")
        .args(PACKAGES)
        .current_dir(&packages))?;
    for package in fs::read_dir(&packages)? {
        let mut unpack = Command::new("dpkg-deb");
        run(unpack.arg("-x").arg(package?.path()).arg(&staged))?;
    }
    fs::rename(&staged, &root)?;
    Ok(root)
}

fn run(command: &mut Command) -> TestResult {
    let program = command.get_program().to_string_lossy().into_owned();
    let ended = command.output();
    let ended = ended.map_err(|error| format!("cannot run {program}: {error}"))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    Err(format!("{program} ended with {}: {said}", ended.status).into())
}
