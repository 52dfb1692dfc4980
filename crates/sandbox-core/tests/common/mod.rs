//! What the tests of specs share: a caller, images, hosts.

#![allow(dead_code, reason = "each test program uses a part")]
#![expect(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

pub(crate) mod engine;

use std::collections::BTreeMap;

use sandbox_core::inspect::ImageConfig;
use sandbox_core::render::{Inputs, SeccompText};
use sandbox_core::{
    AgentDelivery, Caller, ContainerPlan, DigestKey, Flavour, HostFacts, HostPath, MaskedPaths,
    Owner, Problems, SandboxSpec, Secret, SpecFile, plan,
};

pub(crate) const SECRET: &str = "s3cr3t-value";

pub(crate) fn caller() -> Caller {
    let path = |path| Some(HostPath::new(path).unwrap());
    Caller {
        home: path("/home/ann"),
        cwd: path("/srv/project"),
        data_dir: path("/home/ann/.local/share/talaria"),
        uid: Some(1000),
        gid: Some(1000),
        env: BTreeMap::from([("MY_TOKEN".into(), Secret::new(SECRET))]),
        digest_key: Some(DigestKey::new([7; 32])),
        ..Caller::new(Owner::new("0f3a:1000").unwrap())
    }
}

pub(crate) fn host() -> HostFacts {
    HostFacts {
        storage_driver: "overlay2".into(),
        quota_works: Some(true),
        masks: Some(MaskedPaths::docker_20_10()),
        cpus: Some(4),
        runtimes: vec!["runc".into(), "runsc".into()],
        default_runtime: Some("runc".into()),
        agent: AgentDelivery::Volume {
            name: "talaria-agent-0123456789abcdef".into(),
        },
        ..HostFacts::default()
    }
}

pub(crate) fn image() -> ImageConfig {
    ImageConfig {
        id: "sha256:1111".into(),
        env: vec!["PATH=/bin".into(), "FROM_IMAGE=1".into()],
        ..ImageConfig::default()
    }
}

pub(crate) fn inputs() -> Inputs {
    Inputs {
        flavour: Flavour::Docker,
        seccomp: SeccompText {
            json: r#"{"defaultAction":"SCMP_ACT_ERRNO"}"#.into(),
            path: "/run/user/1000/talaria/seccomp-1.json".into(),
        },
        program: "docker".into(),
        agent_directory: "/usr/libexec/talaria/agent".into(),
    }
}

pub(crate) fn spec(toml: &str) -> Result<SandboxSpec, Problems> {
    let text = if toml.contains("image =") {
        toml.to_owned()
    } else {
        format!("image = \"debian:trixie\"\n{toml}")
    };
    SandboxSpec::try_from(SpecFile::from_toml(&text)?, &caller())
}

pub(crate) fn plan_of(toml: &str) -> ContainerPlan {
    plan::plan(&spec(toml).unwrap(), &image(), &host()).unwrap()
}
