use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    Check, Held, Network, Posture, Probe, Report, ReportError, Tmpfs, compare, expected, table,
};

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(ToString::to_string).collect()
}

/// Everything that a plan can say.
fn full() -> Posture {
    let tmp = Tmpfs {
        size: Some(1024),
        options: set(&["nosuid"]),
    };
    Posture {
        uid: Some(0),
        gid: Some(0),
        capabilities: set(&["CHOWN", "KILL"]),
        pids: Some(256),
        memory: Some(4096),
        memory_and_swap: Some(4096),
        cpus: Some(1500),
        shm: Some(64),
        tmpfs: BTreeMap::from([("/tmp".to_owned(), tmp)]),
        network: Network::None,
        read_only_root: true,
        ..Posture::default()
    }
}

/// An answer that holds, and one that does not.
fn answers(check: &Check) -> (Value, Value) {
    match check {
        Check::Refused => (json!("EPERM"), json!("EINVAL")),
        Check::Unreachable => (json!("silent"), json!("ECONNREFUSED")),
        Check::NotListening => (json!("ECONNREFUSED"), json!("done")),
        Check::Is(Value::Bool(flag)) => (json!(flag), json!(!flag)),
        Check::Is(Value::Number(number)) => (json!(number), json!(77)),
        Check::Is(value) => (value.clone(), json!("something else")),
        Check::Within(words) => (json!(words), json!(["SYS_ADMIN"])),
        Check::AtMost(most) => (json!(most), json!("unlimited")),
        Check::Empty => (json!([]), json!(["/sys/fs/cgroup/memory"])),
        Check::Hidden(paths) => every_path(paths, "empty", "readable"),
        Check::ReadOnly(paths) => every_path(paths, "read-only", "writable"),
        Check::NotWritten => (
            json!({"/proc/sysrq-trigger": "EROFS"}),
            json!({"/proc/sysrq-trigger": "done"}),
        ),
        Check::Devices(_) => (
            json!(["/dev/null c 1:3", "/dev/pts/0 c 136:0"]),
            json!(["/dev/null b 8:0"]),
        ),
        Check::Tmpfs(_) => (
            json!({"/tmp": {"size": 1024, "options": ["nosuid", "nodev"]}}),
            json!({"/tmp": {"size": 1025, "options": ["nosuid"]}}),
        ),
    }
}

fn every_path(paths: &BTreeSet<String>, good: &str, bad: &str) -> (Value, Value) {
    let all = |word: &str| {
        paths
            .iter()
            .map(|path| (path.clone(), json!(word)))
            .collect::<serde_json::Map<_, _>>()
    };
    let mut one_bad = all(good);
    one_bad.extend(paths.first().map(|path| (path.clone(), json!(bad))));
    (Value::Object(all(good)), Value::Object(one_bad))
}

fn report(posture: &Posture) -> Report {
    expected(posture)
        .iter()
        .fold(Report::default(), |report, expectation| {
            report.with(expectation.probe, answers(&expectation.check).0)
        })
}

fn not_held(posture: &Posture, report: &Report) -> Vec<Probe> {
    let findings = compare(&expected(posture), report);
    findings
        .iter()
        .filter(|finding| finding.held != Held::Yes)
        .map(|finding| finding.probe)
        .collect()
}

#[test]
fn a_sandbox_as_planned_holds_everything() {
    for posture in [full(), Posture::default()] {
        assert_eq!(Vec::<Probe>::new(), not_held(&posture, &report(&posture)));
    }
}

#[test]
fn each_weakness_is_found_alone_and_by_name() {
    let posture = full();
    for expectation in expected(&posture) {
        let weak = report(&posture).with(expectation.probe, answers(&expectation.check).1);
        assert_eq!(vec![expectation.probe], not_held(&posture, &weak));
        let finding = compare(&expected(&posture), &weak)
            .into_iter()
            .find(|finding| finding.held == Held::No);
        let finding = finding.unwrap_or_else(|| panic!("{} is no finding", expectation.probe));
        assert!(!finding.why.is_empty() && !finding.hint.is_empty());
    }
}

#[test]
fn silence_is_never_held() {
    for finding in compare(&expected(&full()), &Report::default()) {
        assert_eq!("unknown", finding.held.as_str(), "{}", finding.probe);
        assert_eq!(
            Some("the sandbox did not answer"),
            finding.reason.as_deref()
        );
    }
}

#[test]
fn an_answer_of_another_kind_is_never_held() {
    let odd = [
        json!(null),
        json!(-1),
        json!(1.5),
        json!({"a": [1]}),
        json!([[]]),
        json!([{"a": 1}]),
    ];
    for expectation in expected(&full()) {
        for answer in &odd {
            let held = expectation.check.judge(answer);
            assert_ne!(Held::Yes, held, "{} {answer}", expectation.probe);
        }
    }
}

#[rstest]
#[case::done("done", Held::No)]
#[case::looked_into("EFAULT", Held::No)]
#[case::no_such_call("ENOSYS", Held::Yes)]
#[case::killed("SIGSYS", Held::Yes)]
#[case::hung("hung", Held::unknown("the attempt did not end"))]
#[case::not_tried("not tried: fork: EAGAIN", Held::unknown("it could not be tried"))]
fn attempts(#[case] answer: &str, #[case] held: Held) {
    assert_eq!(held, Check::Refused.judge(&json!(answer)));
}

#[rstest]
#[case::disk("/dev/sda b 8:0", false)]
#[case::kvm("/dev/kvm c 10:232", false)]
#[case::granted("/dev/fuse c 10:229", true)]
#[case::renamed("/dev/not-a-disk c 1:1", false)]
#[case::with_spaces("/dev/null c 1:3 c 1:1", false)]
#[case::terminal("/dev/console c 136:2", true)]
fn devices_are_known_by_number(#[case] device: &str, #[case] harmless: bool) {
    let check = Check::Devices(set(&["/dev/fuse"]));
    assert_eq!(Held::when(harmless), check.judge(&json!([device])));
}

#[test]
fn a_user_holds_no_capabilities_though_the_container_has_some() {
    let posture = Posture {
        uid: Some(1000),
        ..full()
    };
    let weak = report(&posture).with(Probe::CapabilitiesEffective, json!(["CHOWN"]));
    assert_eq!(
        vec![Probe::CapabilitiesEffective],
        not_held(&posture, &weak)
    );
}

#[test]
fn what_is_not_planned_is_not_expected() {
    let probes: Vec<_> = expected(&Posture::default())
        .into_iter()
        .map(|expectation| expectation.probe)
        .collect();
    for probe in [
        Probe::LimitMemory,
        Probe::Tmpfs,
        Probe::RootReadOnly,
        Probe::IdentityUid,
        Probe::NetworkInterfaces,
    ] {
        assert!(!probes.contains(&probe), "{probe}");
    }
    let named = Posture {
        network: Network::Named,
        ..Posture::default()
    };
    assert!(
        !expected(&named)
            .iter()
            .any(|expectation| expectation.probe == Probe::NetworkNeighbours)
    );
}

#[test]
fn a_planned_tmpfs_that_is_not_there_is_no() {
    let weak = report(&full()).with(Probe::Tmpfs, json!({}));
    assert_eq!(vec![Probe::Tmpfs], not_held(&full(), &weak));
}

#[test]
fn names_are_read_back_and_differ() {
    let names: BTreeSet<_> = Probe::ALL.iter().map(|probe| probe.as_str()).collect();
    assert_eq!(Probe::ALL.len(), names.len());
    for probe in Probe::ALL {
        assert_eq!(Ok(*probe), probe.as_str().parse());
        assert_eq!(json!(probe.as_str()), json!(probe));
    }
    assert!("".parse::<Probe>().is_err());
}

#[test]
fn a_report_that_is_none_is_an_error() {
    assert!(matches!(
        Report::parse("[]"),
        Err(ReportError::Malformed(_))
    ));
    assert!(matches!(
        Report::parse(&" ".repeat(300_000)),
        Err(ReportError::TooLong { length: 300_000 })
    ));
    assert_eq!(
        Report::default(),
        Report::parse(r#"{"of.a.newer.agent": 1}"#).expect("it is a report")
    );
}

#[test]
fn the_table_shows_no_terminal_controls() {
    let report = report(&full())
        .with(Probe::CallBpf, json!("done"))
        .with(
            Probe::EngineSockets,
            json!(["/x\u{1b}[2J\u{202e}\u{9b}31m"]),
        )
        .with(Probe::CallMount, Value::Null);
    let findings = compare(&expected(&full()), &report);
    insta::assert_snapshot!("table", table(&findings));
    let no: Vec<_> = findings
        .into_iter()
        .filter(|finding| finding.held != Held::Yes)
        .collect();
    insta::assert_snapshot!(
        "json",
        serde_json::to_string_pretty(&no).expect("findings have a JSON form")
    );
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z/]{0,8}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_a_sandbox_says_is_judged_and_shown(values in proptest::collection::vec(any_value(), Probe::ALL.len())) {
        let report = Probe::ALL.iter().zip(values).fold(Report::default(), |report, (probe, value)| report.with(*probe, value));
        let findings = compare(&expected(&full()), &report);
        let table = table(&findings);
        prop_assert!(table.chars().all(|letter| letter == '\n' || letter == '…' || (' '..='~').contains(&letter)));
    }
}
