//! Both renderings of a plan are one container.

use std::collections::BTreeMap;
use std::process::Command;

use docker_harness::{Failure, TestResult};
use sandbox_core::{EnvFile, MountFile, SpecFile};
use sandbox_engine::{Agent, Pull};
use serde_json::Value;

use super::{Rig, scalar, text, with_rig};

/// Forty specs: each of these alone, and each with the next few.
fn variants(rig: &Rig<'_>) -> Vec<SpecFile> {
    let scratch = rig.lab.scratch().to_string_lossy().into_owned();
    let set: Vec<SpecFile> = vec![
        SpecFile {
            memory: scalar("96m"),
            ..SpecFile::default()
        },
        SpecFile {
            cpus: scalar("0.5"),
            ..SpecFile::default()
        },
        SpecFile {
            pids: scalar("77"),
            ..SpecFile::default()
        },
        SpecFile {
            shm: scalar("8m"),
            ..SpecFile::default()
        },
        SpecFile {
            network: Some("none".to_owned()),
            ..SpecFile::default()
        },
        SpecFile {
            user: scalar("1234:4321"),
            ..SpecFile::default()
        },
        SpecFile {
            mounts: vec![MountFile::Text(format!("{scratch}:/mnt/x:ro"))],
            ..SpecFile::default()
        },
        SpecFile {
            env: BTreeMap::from([
                ("PLAIN".to_owned(), EnvFile::Text("a b'\"$x".to_owned())),
                ("API_TOKEN".to_owned(), EnvFile::Text("hidden".to_owned())),
            ]),
            ..SpecFile::default()
        },
        SpecFile {
            persist: Some(false),
            ..SpecFile::default()
        },
        SpecFile {
            cwd: Some("/tmp".to_owned()),
            memory: scalar("unlimited"),
            ..SpecFile::default()
        },
    ];
    let count = set.len();
    let mut all = Vec::new();
    for first in 0..count {
        for width in 1..=4 {
            let base = SpecFile {
                masks: Some("engine-default".to_owned()),
                ..rig.file("render")
            };
            let parts = (0..width).map(|step| set[(first + step) % count].clone());
            all.push(parts.fold(base, SpecFile::merge));
        }
    }
    all
}

/// What is another for each container, or an order that means nothing, left out.
fn normal(mut found: Value) -> Value {
    for field in [
        "Id",
        "Created",
        "Name",
        "ResolvConfPath",
        "HostnamePath",
        "HostsPath",
        "LogPath",
        "GraphDriver",
    ] {
        found.as_object_mut().map(|all| all.remove(field));
    }
    if let Some(config) = found.pointer_mut("/Config").and_then(Value::as_object_mut) {
        config.remove("Hostname");
    }
    for list in ["/HostConfig/CapAdd", "/HostConfig/CapDrop"] {
        for name in found
            .pointer_mut(list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            // Newer command lines write the prefix.
            *name = name
                .as_str()
                .unwrap_or_default()
                .trim_start_matches("CAP_")
                .into();
        }
    }
    if let Some(policy) = found.pointer_mut("/HostConfig/RestartPolicy/Name") {
        // Two words for none.
        *policy = policy
            .as_str()
            .unwrap_or_default()
            .trim_start_matches("no")
            .into();
    }
    if let Some(Value::Array(options)) = found.pointer_mut("/HostConfig/SecurityOpt") {
        for option in options.iter_mut() {
            // The command line sends the profile with other white space.
            let json = option
                .as_str()
                .and_then(|option| option.strip_prefix("seccomp="));
            if let Some(profile) = json.and_then(|json| serde_json::from_str::<Value>(json).ok()) {
                *option = profile;
            }
        }
    }
    for list in ["/Config/Env", "/Mounts", "/HostConfig/Mounts"] {
        if let Some(Value::Array(items)) = found.pointer_mut(list) {
            items.sort_by_key(Value::to_string);
        }
    }
    without_nothing(found)
}

/// A list that is empty and one that is not there are the same to an engine.
fn without_nothing(value: Value) -> Value {
    match value {
        Value::Object(all) => {
            let kept = all
                .into_iter()
                .map(|(key, value)| (key, without_nothing(value)));
            let nothing = [
                Value::Null,
                serde_json::json!([]),
                serde_json::json!({}),
                "".into(),
            ];
            Value::Object(kept.filter(|(_, value)| !nothing.contains(value)).collect())
        }
        Value::Array(all) => Value::Array(all.into_iter().map(without_nothing).collect()),
        other => other,
    }
}

#[test]
fn the_command_line_and_the_api_create_the_same_container() {
    with_rig(async |rig| {
        rig.engine.network().await?;
        let variants = variants(rig);
        assert_eq!(variants.len(), 40);
        for file in variants {
            let told = format!("{file:?}");
            compare(rig, file)
                .await
                .map_err(|error| format!("{told}: {error}"))?;
        }
        Ok(())
    });
}

async fn compare(rig: &Rig<'_>, file: SpecFile) -> TestResult {
    let spec = rig.spec(file)?;
    let plan = rig
        .engine
        .plan(&spec, Pull::Never, &Agent::None, &mut |_| {})
        .await?;
    let mut inputs = rig.engine.render_inputs(&plan);
    inputs.seccomp.path = rig
        .lab
        .scratch_file("seccomp.json", 0o644, &inputs.seccomp.json)?
        .to_string_lossy()
        .into_owned();
    let docker = rig.lab.engine().docker();

    let commands = sandbox_core::render::argv::create(&plan, &inputs);
    assert_eq!(commands.unsaid, Vec::<&str>::new());
    let step = &commands.steps[0];
    let mut command = Command::new(&step.argv[0]);
    command.args(&step.argv[1..]);
    command.envs(step.env.iter().map(|(name, value)| (name, value.expose())));
    let ended = command.output()?;
    if !ended.status.success() {
        return Err(text(&ended.stderr).into());
    }
    let by_argv = taken(rig, &plan.name).await?;

    let body = sandbox_core::render::body::create(&plan, &inputs);
    let body = serde_json::from_value(serde_json::to_value(body)?)?;
    let named = bollard::query_parameters::CreateContainerOptionsBuilder::new()
        .name(&plan.name)
        .build();
    docker.create_container(Some(named), body).await?;
    let by_api = taken(rig, &plan.name).await?;
    if by_argv == by_api {
        return Ok(());
    }
    let (argv, api) = (format!("{by_argv:#}"), format!("{by_api:#}"));
    let only = |this: &str, other: &str| {
        let lines = this
            .lines()
            .filter(|line| !other.lines().any(|one| one == *line));
        lines.collect::<Vec<_>>().join("\n")
    };
    Err(format!(
        "only by docker create:\n{}\nonly by the API:\n{}",
        only(&argv, &api),
        only(&api, &argv)
    )
    .into())
}

/// What the engine says of it; then it is removed.
async fn taken(rig: &Rig<'_>, name: &str) -> Result<Value, Failure> {
    let docker = rig.lab.engine().docker();
    let none = None::<bollard::query_parameters::InspectContainerOptions>;
    let found = serde_json::to_value(docker.inspect_container(name, none).await?)?;
    let none = None::<bollard::query_parameters::RemoveContainerOptions>;
    docker.remove_container(name, none).await?;
    Ok(normal(found))
}
