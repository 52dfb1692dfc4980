//! Drift from what a plan leaves to the image and the engine, and what of it is shown.

#![expect(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

mod common;

use common::engine::implied;
use common::{host, image, plan_of, spec};
use rstest::rstest;
use sandbox_core::drift::drift;
use sandbox_core::inspect::{ImageConfig, Inspected, Words};
use sandbox_core::{ContainerPlan, Difference, HostFacts, MaskedPaths, plan};

fn told(plan: &ContainerPlan, change: impl FnOnce(&mut Inspected)) -> Vec<[String; 3]> {
    let mut found = implied(plan);
    change(&mut found);
    let parts = |difference: Difference| [difference.field, difference.wanted, difference.found];
    drift(plan, &found).into_iter().map(parts).collect()
}

fn plan_on(toml: &str, image: &ImageConfig, host: &HostFacts) -> ContainerPlan {
    plan::plan(&spec(toml).unwrap(), image, host).unwrap()
}

#[test]
fn another_user_than_the_image_s_is_drift() {
    let image = ImageConfig {
        user: "node".into(),
        ..image()
    };
    let plan = plan_on("", &image, &host());
    let other = |found: &mut Inspected| found.config.user = "0".into();
    let difference = ["user", "\"node\" (the image's own)", "0"].map(str::to_owned);
    assert_eq!(told(&plan, other), [difference]);
    // Of an image that nobody looked at nothing is known.
    let plan = plan_on("", &ImageConfig::default(), &host());
    assert_eq!(
        told(&plan, |found| found.config.user = "0".into()),
        Vec::<[String; 3]>::new()
    );
}

#[test]
fn another_entrypoint_than_the_image_s_is_drift() {
    let image = ImageConfig {
        entrypoint: vec!["/usr/bin/tini".into(), "--".into()],
        ..image()
    };
    let plan = plan_on("", &image, &host());
    let other = |found: &mut Inspected| {
        found.config.entrypoint = Words(vec!["/bin/sh".into(), "-c".into(), "x".into()]);
    };
    let difference = [
        "entrypoint",
        "(the image's own)",
        "(another command, of 3 words)",
    ];
    assert_eq!(told(&plan, other), [difference.map(str::to_owned)]);
    // Podman's way to tell it.
    let same =
        |found: &mut Inspected| found.config.entrypoint = Words(vec!["/usr/bin/tini --".into()]);
    assert_eq!(told(&plan, same), Vec::<[String; 3]>::new());
}

#[rstest]
#[case::engine_s_own("", Some("runc"), "runsc", Some("runc (the engine's own)"))]
#[case::asked_for("runtime = 'runsc'", Some("runc"), "runc", Some("runsc"))]
#[case::not_known("", None, "crun", None)]
#[case::podman("", Some("crun"), "oci", None)]
#[case::podman_asked("runtime = 'runsc'", Some("crun"), "oci", None)]
fn another_runtime_is_drift_where_it_can_be_told(
    #[case] toml: &str,
    #[case] own: Option<&str>,
    #[case] found: &str,
    #[case] wanted: Option<&str>,
) {
    let host = HostFacts {
        default_runtime: own.map(str::to_owned),
        ..host()
    };
    let plan = plan_on(toml, &image(), &host);
    let told = told(&plan, |there| there.host_config.runtime = found.into());
    let expected: Vec<[String; 3]> = wanted
        .map(|wanted| ["runtime", wanted, found].map(str::to_owned))
        .into_iter()
        .collect();
    assert_eq!(told, expected);
}

#[rstest]
#[case::nothing_hidden(Some(MaskedPaths::docker_20_10()), &[], true)]
#[case::more_hidden(Some(MaskedPaths::docker_20_10()), &["/proc/interrupts"], false)]
#[case::not_known(None, &[], false)]
fn fewer_hidden_paths_than_the_engine_s_own_are_drift(
    #[case] own: Option<MaskedPaths>,
    #[case] masked: &[&str],
    #[case] differs: bool,
) {
    let host = HostFacts {
        masks: own,
        ..host()
    };
    let plan = plan_on("masks = 'engine-default'", &image(), &host);
    let told = told(&plan, |found| {
        let mut paths = if masked.is_empty() {
            Vec::new()
        } else {
            MaskedPaths::docker_20_10().masked
        };
        paths.extend(masked.iter().map(|&path| path.to_owned()));
        found.host_config.masked_paths = Some(paths);
    });
    assert_eq!(!told.is_empty(), differs, "{told:?}");
    assert!(told.iter().all(|[field, ..]| field == "masks"));
}

#[rstest]
#[case::plain_now("env.A = 'x'", "A=hunter2", ["env.A", "x", "(a different value)"])]
#[case::secret_still("env.A = { secret = 'x' }", "A=hunter2", ["env.A", "(secret)", "(a different value)"])]
#[case::not_wanted("", "A=hunter2", ["env.A", "(not set)", "(set)"])]
#[case::image_s("", "FROM_IMAGE=hunter2", [
    "env.FROM_IMAGE", "(the image's own value)", "(a different value)",
])]
fn no_value_that_is_found_is_shown(
    #[case] toml: &str,
    #[case] var: &str,
    #[case] difference: [&str; 3],
) {
    let told = told(&plan_of(toml), |found| {
        found.config.env = vec![var.to_owned()];
    });
    assert_eq!(told, [difference.map(str::to_owned)]);
}

#[test]
fn an_empty_variable_is_not_a_missing_one() {
    let told = told(&plan_of("env.A = ''"), |found| found.config.env.clear());
    assert_eq!(told, [["env.A", "", "(not set)"].map(str::to_owned)]);
}

#[test]
fn what_engines_set_by_themselves_is_no_drift() {
    let told = told(&plan_of(""), |found| {
        let set = [
            "HOME=/root",
            "HOSTNAME=abc",
            "TERM=xterm",
            "container=podman",
        ];
        found.config.env.extend(set.map(str::to_owned));
    });
    assert_eq!(told, Vec::<[String; 3]>::new());
}

#[test]
fn a_command_is_shown_only_where_it_is_one_of_ours() {
    let plan = plan_of("");
    let lease = |found: &mut Inspected| found.config.cmd[2] = "60".into();
    assert_eq!(told(&plan, lease)[0][2], r#"["serve", "--lease", "60"]"#);
    let other = |found: &mut Inspected| found.config.cmd = vec!["--token=hunter2".into()];
    assert_eq!(told(&plan, other)[0][2], "(another command, of 1 word)");
    let digits = |found: &mut Inspected| found.config.cmd = vec!["serve".into(), "4711".into()];
    assert_eq!(told(&plan, digits)[0][2], "(another command, of 2 words)");
}

#[test]
fn a_label_is_shown_only_where_it_has_a_form_of_ours() {
    let plan = plan_of("");
    let set = |value: &'static str| {
        move |found: &mut Inspected| {
            found
                .config
                .labels
                .insert("talaria.lease".into(), value.into());
        }
    };
    assert_eq!(
        told(&plan, set("60")),
        [["lease", "3600", "60"].map(str::to_owned)]
    );
    let odd = ["lease", "3600", "(a label that is none of ours)"];
    assert_eq!(told(&plan, set("hunter2")), [odd.map(str::to_owned)]);
    let gone = |found: &mut Inspected| drop(found.config.labels.remove("talaria.lease"));
    assert_eq!(
        told(&plan, gone),
        [["lease", "3600", "(no label)"].map(str::to_owned)]
    );
}
