//! Whatever a spec and a container hold, no secret is told: not by `Debug`, `Display`, JSON, labels,
//! arguments, digests, differences or problems.

#![expect(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::engine::implied;
use common::{host, image, inputs};
use proptest::prelude::*;
use sandbox_core::drift::drift;
use sandbox_core::inspect::{ContainerState, ImageConfig, Inspected, InspectedImage, Words};
use sandbox_core::posture::Posture;
use sandbox_core::render::{self, argv, body};
use sandbox_core::reuse::{self, Busy, Policy};
use sandbox_core::{
    Caller, ContainerPlan, DigestKey, Problems, SandboxSpec, Secret, SpecFile, plan,
};
use serde_json::json;

/// Where a spec can hold a secret, and other lines beside it, some under the same names. `$` is the
/// secret.
const LINES: &[&str] = &[
    "env.A = { secret = '$' }",
    "env.A = 'plain'",
    "env.A = 7",
    "env.B = { from = 'MY_TOKEN' }",
    "env.B = 'plain'",
    "env.LANG = { secret = '$' }",
    "env.LANG = 'C.UTF-8'",
    "env.PATH = { secret = '$' }",
    "env.C_TOKEN = '$'",
    "env.PGPASSWORD = '$'",
    "env.LLM_MODEL = '$'",
    "env.DB = 'postgres://ann:$@db/x'",
    "forward = ['MY_TOKEN']",
    "extra_args = ['-e', 'MY_TOKEN', '-t']",
    "task = 'x'",
    "user = '5:6'",
    "entrypoint = 'keep'",
    "network = 'none'",
    "persist = true",
    "lease = '2h'",
    "masks = 'engine-default'",
    "seccomp = 'engine-default'",
    "mounts = ['/data:/data:z']",
];

/// Where a secret can stand by mistake.
const MISTAKES: &[&str] = &[
    "forward = ['sk-$']",
    "forward = ['MY_TOKEN=$']",
    "extra_args = ['--env', 'MY_TOKEN=$']",
    "extra_args = ['--env=DB=https://a:$@h']",
    "env = { 'MY-TOKEN=$' = 'x' }",
    "env = { 'MY-TOKEN=$' = [1] }",
    "env.A = ['$']",
    "env.A = { secret = ['$'] }",
    "env.A = { secret = '$', from = 'X' }",
    "env.A = { from = 'MY-$' }",
    "env.A = { secret = \"$\\u0000\" }",
    "env.A = $",
    "env.A = '$",
    "env.A = { secret = '$' }\nenv.A = { secret = '$' }",
    "'MY_TOKEN=$' = 1",
    "cpus = { secret = '$' }",
    "persist = ['$']",
];

fn caller(secret: &str, key: Option<[u8; 32]>) -> Caller {
    Caller {
        env: BTreeMap::from([("MY_TOKEN".into(), Secret::new(secret))]),
        digest_key: key.map(DigestKey::new),
        ..common::caller()
    }
}

fn read(lines: &[&str], secret: &str) -> Result<SpecFile, Problems> {
    let lines = lines.join("\n").replace('$', secret);
    SpecFile::from_toml(&format!("image = 'debian:trixie'\n{lines}"))
}

fn planned(
    lines: &[&str],
    image: &ImageConfig,
    secret: &str,
    key: Option<[u8; 32]>,
) -> (SandboxSpec, ContainerPlan) {
    let file = read(lines, secret).unwrap();
    let spec = SandboxSpec::try_from(file, &caller(secret, key)).unwrap();
    let plan = plan::plan(&spec, image, &host()).unwrap();
    (spec, plan)
}

prop_compose! {
    fn any_lines()(lines in prop::collection::vec(prop::sample::select(LINES), 0..10))
        -> Vec<&'static str>
    {
        let mut keys = BTreeSet::new();
        lines.into_iter().filter(|line| keys.insert(line.split(' ').next())).collect()
    }
}

prop_compose! {
    fn any_secret()(tail in "[A-Za-z0-9]{12,40}") -> String {
        format!("zQ{tail}")
    }
}

/// What somebody may have put into a container behind our back.
#[derive(Clone, Debug)]
enum Change {
    Env(&'static str),
    Command(usize),
    Entrypoint(usize),
    Label(&'static str),
}

fn any_change() -> impl Strategy<Value = Change> {
    let names = ["A", "B", "LANG", "PATH", "FROM_IMAGE", "HOME", "X"];
    let labels = [
        "mine",
        "talaria.lease",
        "talaria.plan",
        "talaria.identity",
        "talaria.persist",
        "talaria.seccomp",
        "talaria.modified",
        "hermes-task-id",
    ];
    prop_oneof![
        prop::sample::select(names.to_vec()).prop_map(Change::Env),
        (0..4_usize).prop_map(Change::Command),
        (0..4_usize).prop_map(Change::Entrypoint),
        prop::sample::select(labels.to_vec()).prop_map(Change::Label),
    ]
}

fn put(found: &mut Inspected, change: &Change, secret: &str) {
    let insert =
        |words: &mut Vec<String>, at: usize| words.insert(at.min(words.len()), secret.into());
    match change {
        Change::Env(name) => {
            let begin = format!("{name}=");
            found.config.env.retain(|var| !var.starts_with(&begin));
            found.config.env.push(format!("{name}={secret}"));
        }
        Change::Command(at) => insert(&mut found.config.cmd, *at),
        Change::Entrypoint(at) => insert(&mut found.config.entrypoint.0, *at),
        Change::Label(key) => {
            found.config.labels.insert((*key).into(), secret.into());
        }
    }
}

fn holds_none(texts: &[String], secret: &str) -> Result<(), TestCaseError> {
    for text in texts {
        prop_assert!(!text.contains(secret), "{}", text);
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_secret_of_a_spec_is_told(
        lines in any_lines(), secret in any_secret(), key in prop::option::of(any::<[u8; 32]>()),
    ) {
        let file = read(&lines, &secret).unwrap();
        let image = ImageConfig { env: vec![format!("BAKED_IN={secret}")], ..image() };
        let (spec, plan) = planned(&lines, &image, &secret, key);
        let commands = argv::create(&plan, &inputs());
        let mut texts = vec![
            format!("{file:?} {image:?} {:?} {spec:?} {plan:?}", caller(&secret, key)),
            plan.to_json(), plan.digest(), format!("{:?}", plan.labels()),
            format!("{:?}", Posture::of(&plan)), format!("{commands:?}"),
            format!("{:?}", body::create(&plan, &inputs())),
            format!("{:?}", render::create(&plan, &inputs())),
        ];
        for step in &commands.steps {
            texts.extend([step.to_string(), format!("{:?}", step.argv)]);
        }
        holds_none(&texts, &secret)?;
    }

    #[test]
    fn no_secret_of_a_container_is_told(
        (ours, theirs) in (any_lines(), any_lines()),
        (secret, other) in (any_secret(), any_secret()),
        changes in prop::collection::vec(any_change(), 0..5),
        key in prop::option::of(any::<[u8; 32]>()),
    ) {
        let (_, plan) = planned(&ours, &image(), &other, key);
        let mut found = implied(&planned(&theirs, &image(), &secret, key).1);
        for change in &changes {
            put(&mut found, change, &secret);
        }
        let differences = drift(&plan, &found);
        let decision = reuse::decide(
            Policy::Refuse, &differences, &ContainerState::from("running"), Busy::Idle,
        );
        let texts = [
            format!("{found:?} {differences:?} {decision:?}"),
            serde_json::to_string(&differences).unwrap(),
        ];
        holds_none(&texts, &secret)?;
        holds_none(&texts, &other)?;
    }

    #[test]
    fn no_secret_in_the_wrong_place_is_told(
        lines in any_lines(), mistake in prop::sample::select(MISTAKES), secret in any_secret(),
    ) {
        let key = mistake.split([' ', '.']).next().unwrap();
        let mut lines = lines;
        lines.retain(|line| line.split([' ', '.']).next() != Some(key));
        lines.push(mistake);
        let problems = read(&lines, &secret)
            .and_then(|file| SandboxSpec::try_from(file, &caller(&secret, None)))
            .unwrap_err();
        let texts = [
            format!("{problems} {problems:?}"), serde_json::to_string(&problems).unwrap(),
        ];
        holds_none(&texts, &secret)?;
        prop_assert!(problems.iter().all(|problem| problem.hint.is_some()), "{:?}", problems);
    }

    #[test]
    fn without_a_key_no_value_can_be_tried_out_against_the_digest(
        lines in any_lines(), one in any_secret(), other in any_secret(), key in any::<[u8; 32]>(),
    ) {
        let digest = |secret: &str, key| planned(&lines, &image(), secret, key).1.digest();
        prop_assert_eq!(digest(&one, None), digest(&other, None));
        // With one, the values count, and the digest is another under every key.
        let secrets = planned(&lines, &image(), &one, None).1.to_json().contains("\"secret\": true");
        prop_assert_eq!(digest(&one, Some(key)) == digest(&other, Some(key)), one == other || !secrets);
        prop_assert_ne!(digest(&one, Some(key)), digest(&one, Some(key.map(|byte| !byte))));
    }
}

#[test]
fn an_image_s_answer_does_not_tell_its_variables() {
    let answer = json!({
        "Id": "sha256:1", "Config": {
            "Env": ["TOKEN=hunter2"], "Cmd": ["--key=hunter2"], "Entrypoint": ["hunter2"],
            "Labels": { "token": "hunter2" },
        },
    });
    let image: InspectedImage = serde_json::from_value(answer).unwrap();
    let told = format!("{image:?} {:?}", Words(vec!["hunter2".into()]));
    assert!(
        told.contains("TOKEN") && !told.contains("hunter2"),
        "{told}"
    );
}
