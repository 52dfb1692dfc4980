//! What Podman tells of containers that were made as planned, and of others. The data is what
//! `GET /containers/NAME/json` gave for them, from Podman 4.3.1 as Debian 12 has it.

#![expect(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

mod common;

use common::{caller, inputs};
use rstest::rstest;
use sandbox_core::drift::drift;
use sandbox_core::inspect::{ImageConfig, Inspected};
use sandbox_core::render::{Inputs, argv, body};
use sandbox_core::{
    AgentDelivery, Caller, ContainerPlan, Flavour, HostFacts, Owner, SandboxSpec, SpecFile, labels,
    plan,
};

const PLAIN: &str = include_str!("data/podman-4.3.1-plain.json");
const MOUNTS: &str = include_str!("data/podman-4.3.1-mounts.json");
const USER: &str = include_str!("data/podman-4.3.1-user.json");

fn found(data: &str) -> Inspected {
    serde_json::from_str(data).unwrap()
}

/// The plan of which such a container was made: the spec, on the host that its label tells of.
fn planned(found: &Inspected, toml: &str) -> ContainerPlan {
    let caller = Caller {
        owner: Owner::new("fixture").unwrap(),
        ..caller()
    };
    let toml = format!("image = 'talaria-debian:trixie'\npersist = true\n{toml}");
    let spec = SandboxSpec::try_from(SpecFile::from_toml(&toml).unwrap(), &caller).unwrap();
    let image = ImageConfig {
        id: found.image.clone(),
        ..ImageConfig::default()
    };
    let agent = found
        .host_config
        .binds
        .iter()
        .find_map(|bind| bind.split(':').next().filter(|name| name.contains("agent")));
    let agent = AgentDelivery::Volume {
        name: agent.unwrap().to_owned(),
    };
    let host = HostFacts::from_label(found.label(labels::HOST).unwrap(), None, agent).unwrap();
    plan::plan(&spec, &image, &host).unwrap()
}

const AS_PLAIN: &str = "task = 'plain'";
const AS_MOUNTS: &str = "task = 'mounts'
    mounts = ['/srv/data:/data:ro', '/srv/data:/rw', '/srv/data:/zz:z', 'named:/vol:ro']
    env.A = { secret = 'b' }\nnetwork = 'none'\nmemory = '300m'\ncpus = 1\npids = 99\nshm = '32m'
    cwd = '/data'";
const AS_USER: &str = "task = 'user'\nuser = '1234:1234'";

#[rstest]
#[case::plain(PLAIN, AS_PLAIN)]
#[case::mounts_and_limits(MOUNTS, AS_MOUNTS)]
#[case::a_user(USER, AS_USER)]
fn what_was_made_as_planned_has_not_drifted(#[case] data: &str, #[case] toml: &str) {
    let found = found(data);
    assert_eq!(drift(&planned(&found, toml), &found), []);
}

type Change = fn(&mut Inspected);

#[rstest]
#[case::capability(PLAIN, AS_PLAIN, "capabilities", |found: &mut Inspected| {
    found.host_config.cap_drop.retain(|cap| cap != "NET_RAW");
})]
#[case::capability_added(PLAIN, AS_PLAIN, "capabilities", |found: &mut Inspected| {
    found.host_config.cap_add.push("SYS_ADMIN".into());
})]
#[case::capability_of_a_user(USER, AS_USER, "capabilities", |found: &mut Inspected| {
    found.host_config.cap_drop.retain(|cap| cap != "SETUID");
})]
#[case::mount_that_can_be_written(MOUNTS, AS_MOUNTS, "mounts./data", |found: &mut Inspected| {
    found.host_config.binds[0] = "/srv/data:/data:rw,rprivate,rbind".into();
})]
#[case::mount_that_is_shared(MOUNTS, AS_MOUNTS, "mounts./rw", |found: &mut Inspected| {
    found.host_config.binds[1] = "/srv/data:/rw:rw,rshared,rbind".into();
})]
#[case::mount_of_another(MOUNTS, AS_MOUNTS, "mounts./vol", |found: &mut Inspected| {
    found.host_config.binds[3] = "other:/vol:ro,rprivate,nosuid,nodev,rbind".into();
})]
#[case::tmpfs(PLAIN, AS_PLAIN, "tmpfs./run", |found: &mut Inspected| {
    found.host_config.tmpfs.insert("/run".into(), "rw,exec,size=64m,rprivate,tmpcopyup".into());
})]
#[case::network(PLAIN, AS_PLAIN, "network", |found: &mut Inspected| {
    let networks = &mut found.network_settings.networks;
    let own = networks.remove("talaria-sandbox").unwrap();
    networks.insert("podman".into(), own);
})]
#[case::second_network(PLAIN, AS_PLAIN, "network", |found: &mut Inspected| {
    found.network_settings.networks.insert("podman".into(), serde_json::Value::Null);
})]
#[case::of_the_host(PLAIN, AS_PLAIN, "ipc_mode", |found: &mut Inspected| {
    found.host_config.ipc_mode = "host".into();
})]
#[case::cgroups(PLAIN, AS_PLAIN, "cgroupns_mode", |found: &mut Inspected| {
    found.host_config.cgroupns_mode = "host".into();
})]
#[case::privileged(PLAIN, AS_PLAIN, "privileged", |found: &mut Inspected| found.host_config.privileged = true)]
fn what_differs_is_told(
    #[case] data: &str,
    #[case] toml: &str,
    #[case] field: &str,
    #[case] change: Change,
) {
    let mut found = found(data);
    let plan = planned(&found, toml);
    change(&mut found);
    let mut fields: Vec<String> = drift(&plan, &found)
        .into_iter()
        .map(|one| one.field)
        .collect();
    // What is added is in the way of reading what was taken.
    fields.retain(|one| one != "cap_drop");
    assert_eq!(fields, [field]);
}

#[test]
fn podman_is_told_in_its_own_words() {
    let found = found(USER);
    let plan = planned(&found, AS_USER);
    let inputs = Inputs {
        flavour: Flavour::Podman,
        program: "podman".into(),
        ..inputs()
    };
    let host = body::create(&plan, &inputs).host_config;
    // It knows no owner of a tmpfs, and gives a user at once what is only to be had by root.
    assert_eq!(host.cap_add, Vec::<String>::new());
    assert_eq!(
        host.tmpfs["/workspace"],
        "rw,exec,nosuid,nodev,size=10g,mode=1777"
    );
    let options = &host.security_opt;
    let seccomp = format!("seccomp={}", inputs.seccomp.path);
    assert!(options.contains(&seccomp), "{options:?}");
    let mask = options.iter().find(|option| option.starts_with("mask="));
    assert!(mask.unwrap().contains(":/proc/interrupts:"), "{mask:?}");

    let commands = argv::create(&plan, &inputs);
    assert_eq!(commands.unsaid, Vec::<&str>::new());
    let words = &commands.steps[0].argv;
    assert!(!words.iter().any(|word| word == "--cap-add"), "{words:?}");
    assert!(words.contains(mask.unwrap()), "{words:?}");
}
