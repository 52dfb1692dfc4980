//! What is wrong with a spec: each field by itself, and everything at once.

#![expect(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

mod common;

use std::fmt::Write as _;

use common::{caller, spec};
use rstest::rstest;
use sandbox_core::{Caller, Draft, HostPath, Problem, Problems, SandboxSpec, SpecFile};

/// For each field, values that it cannot have. Whatever the field, one of the wrong type is among
/// them where the value itself can be nothing but right.
const BAD: &[(&str, &[&str])] = &[
    ("image", &["''", "'-x'", "'a b'", "3"]),
    ("task", &["''", "true"]),
    ("profile", &["''", "[]"]),
    ("cwd", &["'here'", "''", "\"/a\\u0000\""]),
    ("cpus", &["0", "-1", "'many'", "nan", "0.001"]),
    ("memory", &["0", "'1k'", "-5", "'4 gigs'", "'99999999999g'"]),
    ("disk", &["0", "'1k'", "'much'"]),
    ("pids", &["0", "-1", "1.5", "99999999999"]),
    ("shm", &["0", "'unlimited'", "'x'"]),
    ("network", &["'host'", "'named:'", "'named:host'", "'lan'"]),
    ("user", &["'ann'", "-1", "'1000:x'", "4294967295"]),
    (
        "mounts",
        &[
            "['/data']",
            "['/a:/b:q']",
            "['/a:relative']",
            "['/:/host']",
            "['/a:/proc/x']",
            "['/a:/x', '/b:/x']",
            "[3]",
            "[{ source = '/a', target = '/b', selinux = 'q' }]",
        ],
    ),
    ("mount_cwd", &["'yes'", "1"]),
    ("credentials", &["['~/.netrc']", "[true]"]),
    ("skills", &["['~ann/s:/s']", "'/s:/s'"]),
    ("caches", &["['a b:/c']", "[['/a', '/c']]"]),
    (
        "env",
        &[
            "{ 'A-B' = 'x' }",
            "{ A = { from = 'GONE' } }",
            "{ A = [1] }",
            "{ A = \"x\\u0000\" }",
        ],
    ),
    (
        "labels",
        &[
            "{ 'a=b' = 'x' }",
            "{ 'talaria.owner' = 'x' }",
            "{ a = 1 }",
            "'a'",
        ],
    ),
    ("forward", &["['1X']", "['A=b']", "[1]"]),
    ("persistent_filesystem", &["'yes'"]),
    ("persist", &["'yes'", "0"]),
    ("entrypoint", &["'mine'", "['/init']"]),
    ("seccomp", &["'none'", "false"]),
    ("masks", &["'none'", "false"]),
    (
        "extra_args",
        &["['']", "[\"a\\u0000\"]", "['-eMY_TOKEN=x']"],
    ),
    ("runtime", &["''", "'a b'", "'-x'"]),
    ("lease", &["'soon'", "-1", "true"]),
    ("on_drift", &["'shrug'", "true"]),
    ("allow_unenforced", &["'yes'"]),
    ("engine_socket", &["'docker.sock'", "'/var/run'"]),
];

fn check(toml: &str) -> Problems {
    let draft = Draft::from_toml(toml).unwrap();
    draft.check(&caller()).unwrap_err()
}

/// The field of the spec that a problem is about, without its item or key.
fn root(problem: &Problem) -> &str {
    problem.field.split(['.', '[']).next().unwrap()
}

fn with_hints(problems: &Problems) -> String {
    let told = |problem: &Problem| {
        let hint = problem.hint.as_deref().unwrap();
        format!("{problem}\n    hint: {hint}")
    };
    problems.iter().map(told).collect::<Vec<_>>().join("\n")
}

#[test]
fn there_is_a_bad_value_for_every_field() {
    let named: Vec<&str> = BAD.iter().map(|(field, _)| *field).collect();
    let mut fields = SpecFile::FIELDS.to_vec();
    fields.sort_by_key(|field| named.iter().position(|name| name == field));
    assert_eq!(named, fields);
}

#[test]
fn each_bad_value_is_told_with_its_field_and_what_the_field_wants() {
    let mut told = String::new();
    for (field, values) in BAD {
        for value in *values {
            let image = if *field == "image" {
                ""
            } else {
                "image = 'debian:trixie'\n"
            };
            let problems = check(&format!("{image}{field} = {value}"));
            assert_eq!(
                problems.as_slice().len(),
                1,
                "{field} = {value}: {problems}"
            );
            assert_eq!(root(&problems.as_slice()[0]), *field, "{problems}");
            writeln!(told, "{field} = {value}\n  {}", with_hints(&problems)).unwrap();
        }
    }
    insta::assert_snapshot!("each_field", told);
}

#[test]
fn the_first_bad_values_of_all_fields_are_told_at_once() {
    for place in 0..2 {
        let line = |(field, values): &(&str, &[&str])| {
            let value = values.get(place).unwrap_or(&values[0]);
            format!("{field} = {value}\n")
        };
        let text: String = BAD.iter().map(line).collect();
        let problems = check(&text);
        let told: Vec<&str> = problems.iter().map(root).collect();
        assert_eq!(told, SpecFile::FIELDS, "{problems}");
    }
}

#[test]
fn what_the_surroundings_lack_is_told_with_the_field_that_needs_it() {
    let file = SpecFile::from_toml(
        "image = 'x'\nuser = 'host'\nmount_cwd = true\npersistent_filesystem = true\n\
         mounts = ['~/a:/a', './b:/b']\n",
    );
    let nobody = Caller::new(caller().owner);
    let problems = SandboxSpec::try_from(file.unwrap(), &nobody).unwrap_err();
    insta::assert_snapshot!("surroundings", with_hints(&problems));
}

#[test]
fn a_working_directory_that_leads_to_an_engine_is_refused() {
    let mut caller = caller();
    caller.cwd = Some(HostPath::new("/run").unwrap());
    let file = SpecFile::from_toml("image = 'x'\nmount_cwd = true").unwrap();
    let problems = SandboxSpec::try_from(file, &caller).unwrap_err();
    assert_eq!(problems.as_slice()[0].field, "mount_cwd");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let problems = spec(
        r#"
        image = "-x"
        task = ""
        cwd = "here"
        cpus = 0
        memory = 512
        disk = "much"
        pids = -1
        shm = "unlimited"
        network = "named:host"
        user = "ann"
        mounts = ["/data", "/:/host", "/run:/r", "/var/run/docker.sock:/s", "/a:/proc/x",
                  "/x:/same", "/y:/same", "~ann/x:/ann", "/proc/1/root:/p", "/a:/b:q"]
        env = { "A-B" = "x", C = { from = "GONE" } }
        forward = ["1X"]
        entrypoint = "mine"
        runtime = "a b"
        lease = "soon"
        on_drift = "shrug"
        extra_args = [""]
        engine_socket = "/var/run"
        "#,
    )
    .unwrap_err();
    insta::assert_snapshot!("problems", with_hints(&problems));
}

#[test]
fn fields_that_are_unknown_or_of_the_wrong_type_are_told_at_once() {
    let problems = SpecFile::from_toml(
        "imge = 'x'\npersist = 'yes'\nmounts = ['/a:/b', 3, ['/a', '/c']]\nenv = { A = [1], B = 'ok' }\ntask = 1\n",
    )
    .unwrap_err();
    insta::assert_snapshot!("wrong_types", with_hints(&problems));
}

#[test]
fn what_is_no_toml_is_told_by_its_line_and_not_quoted() {
    let problems = SpecFile::from_toml("image = 'x'\nenv.A = s3cr3t-value\n").unwrap_err();
    assert!(
        problems.to_string().starts_with("line 2: not TOML"),
        "{problems}"
    );
    assert!(!problems.to_string().contains("s3cr3t-value"), "{problems}");
}

#[rstest]
#[case::ours("labels.'talaria.owner' = 'x'", "labels.talaria.owner")]
#[case::nameless("labels.'' = 'x'", "labels.")]
#[case::equals("labels.'a=b' = 'x'", "labels.a=b")]
fn a_label_that_says_what_a_sandbox_is_cannot_be_set(#[case] toml: &str, #[case] field: &str) {
    let problems = spec(toml).unwrap_err();
    assert_eq!(problems.as_slice()[0].field, field);
}

#[rstest]
#[case::forward("forward = ['OPENAI_API_KEY=s3cr3t-value']", "forward[0]")]
#[case::forward_value("forward = ['s3cr3t-value']", "forward[0]")]
#[case::env_name("env = { 'A-B=s3cr3t-value' = 'x' }", "env.A-B")]
#[case::from("env.A = { from = 's3cr3t-value' }", "env.A")]
#[case::nul("env.A = { secret = \"s3cr3t-value\\u0000\" }", "env.A")]
#[case::wrong_type("env.A = ['s3cr3t-value']", "env.A")]
#[case::wrong_table("env.A = { secrte = 's3cr3t-value' }", "env.A")]
#[case::argument("extra_args = ['-e', 'DB_PASSWORD=s3cr3t-value']", "extra_args[1]")]
#[case::argument_in_one("extra_args = ['--env=DB_PASSWORD=s3cr3t-value']", "extra_args[0]")]
#[case::argument_short("extra_args = ['-eDB_PASSWORD=s3cr3t-value']", "extra_args[0]")]
#[case::argument_address("extra_args = ['-eDB=pg://a:s3cr3t-value@h']", "extra_args[0]")]
fn a_secret_in_the_wrong_place_is_refused_and_not_told(#[case] toml: &str, #[case] field: &str) {
    let problems = spec(toml).unwrap_err();
    assert_eq!(problems.as_slice()[0].field, field);
    assert!(problems.iter().all(|problem| problem.hint.is_some()));
    let text = format!("{problems} {problems:?}");
    assert!(!text.contains("s3cr3t"), "{text}");
}

#[rstest]
#[case("cpus = nan", "cpus")]
#[case("env.A = inf", "env.A")]
#[case("memory = 2026-01-01", "memory")]
fn a_number_that_is_none_is_refused(#[case] toml: &str, #[case] field: &str) {
    assert_eq!(
        SpecFile::from_toml(toml).unwrap_err().as_slice()[0].field,
        field
    );
}
