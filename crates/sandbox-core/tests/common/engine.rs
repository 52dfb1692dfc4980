//! Plans of all kinds, and what an engine would make of them.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sandbox_core::inspect::{ImageConfig, Inspected};
use sandbox_core::render::{Inputs, SeccompText, body};
use sandbox_core::{ContainerPlan, MaskedPaths, plan};
use serde_json::{Value, json};

use super::{host, image, inputs, spec};

/// What an engine would show of the container that this body makes.
pub(crate) fn implied(plan: &ContainerPlan) -> Inspected {
    let real = Inputs {
        seccomp: SeccompText::of(plan, "/seccomp.json"),
        ..inputs()
    };
    let mut body = serde_json::to_value(body::create(plan, &real)).unwrap();
    let mut host = body["HostConfig"].take();
    let caps: Vec<String> = host["CapAdd"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cap| format!("CAP_{}", cap.as_str().unwrap()))
        .collect();
    host["CapAdd"] = json!(caps);
    if host["PidsLimit"] == json!(-1) {
        host["PidsLimit"] = Value::Null;
    }
    // What is not asked for, the image and the engine bring.
    let brought = |place: &mut Value, what: Value| {
        if place.is_null() {
            *place = what;
        }
    };
    let docker = MaskedPaths::docker_20_10();
    brought(&mut host["Runtime"], json!("runc"));
    brought(&mut host["MaskedPaths"], json!(docker.masked));
    brought(&mut host["ReadonlyPaths"], json!(docker.readonly));
    brought(&mut body["User"], json!(plan.known.image_user));
    brought(&mut body["Entrypoint"], json!(plan.known.image_entrypoint));
    let env = body["Env"].as_array_mut().unwrap();
    env.extend(image().env.into_iter().map(Value::String));
    serde_json::from_value(json!({
        "Id": "abc", "Image": plan.image_id, "Config": body, "HostConfig": host, "ExecIDs": null,
        "State": { "Status": "running" },
    }))
    .unwrap()
}

prop_compose! {
    pub(crate) fn any_spec()(
        lines in prop::collection::vec(prop::sample::select(vec![
            "task = 'x:y'", "profile = 'coder'", "cwd = '/srv'", "cpus = 1", "cpus = 'unlimited'",
            "memory = '1g'", "memory = 'unlimited'", "disk = '10g'", "pids = 77",
            "pids = 'unlimited'", "shm = '1g'", "network = 'none'", "network = 'named:lan'",
            "user = 'host'", "user = 0", "user = '5:6'", "mount_cwd = true",
            "persistent_filesystem = true", "persist = true", "entrypoint = 'keep'",
            "seccomp = 'engine-default'", "seccomp = 'unconfined'", "masks = 'engine-default'",
            "runtime = 'runsc'", "lease = '2h'", "on_drift = 'reuse'", "allow_unenforced = true",
            "forward = ['A']", "mounts = ['/data:/data:ro', './x:/x:z', 'vol:/v']",
            "credentials = ['~/.netrc:/n']", "env.A = { secret = 's3cr3t-value' }",
            "env.B = { from = 'MY_TOKEN' }", "env.C_TOKEN = 's3cr3t-value'", "env.D = 'plain'",
        ]), 0..12),
        entrypoint in prop::sample::select(vec!["", "/init", "tini", "/main"]),
        user in prop::sample::select(vec!["", "root", "1000", "node"]),
    ) -> ContainerPlan {
        let mut keys = BTreeSet::new();
        let text: Vec<&str> = lines
            .into_iter()
            .filter(|line| keys.insert(line.split(' ').next().unwrap().to_owned()))
            .collect();
        let image = ImageConfig {
            // Two that differ are two images.
            id: format!("sha256:{entrypoint} {user}"),
            entrypoint: Some(entrypoint.to_owned()).filter(|e| !e.is_empty()).into_iter().collect(),
            user: user.into(),
            ..image()
        };
        plan::plan(&spec(&text.join("\n")).unwrap(), &image, &host()).unwrap()
    }
}
