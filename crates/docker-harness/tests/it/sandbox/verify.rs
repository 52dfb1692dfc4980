//! What a sandbox is verified to be.

use docker_harness::{Failure, TestResult};
use rstest::rstest;
use sandbox_engine::Agent;
use serde_json::Value;

use super::{On, Rig, text, with_rig, with_rig_on};

fn verified(rig: &Rig<'_>, words: &[&str], code: i32) -> Result<Value, Failure> {
    let words = [&["verify", "--json"], words].concat();
    let ended = rig.say(&words)?;
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(code), "{words:?}: {said}");
    Ok(serde_json::from_slice(&ended.stdout)?)
}

/// The names of the probes that are held so.
fn probes(found: &Value, held: &str) -> Vec<String> {
    let findings = found["findings"].as_array().into_iter().flatten();
    findings
        .filter(|one| one["held"] == held)
        .filter_map(|one| Some(one["probe"].as_str()?.to_owned()))
        .collect()
}

/// The options of `run` are those of `verify`, but for the name of the command.
fn options<'a>(rig: &'a Rig<'_>, task: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    rig.run(task, &[&["--network", "none", "--persist"], more].concat())
        .split_off(1)
}

fn started(rig: &Rig<'_>, task: &str, more: &[&str]) -> TestResult {
    let words = [&["run"], &options(rig, task, more)[..]].concat();
    let ended = rig.say(&words)?;
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    Ok(())
}

#[rstest]
fn all_walls_of_a_sandbox_stand_by_its_spec_and_by_its_name(
    #[values(On::Docker, On::Podman)] on: On,
    #[values(&[], &["--user", "1234:1234"])] user: &[&str],
) {
    with_rig_on(on, async |rig| {
        started(rig, "walls", user)?;
        for words in [&options(rig, "walls", user)[..], &["walls"]] {
            let found = verified(rig, words, 0)?;
            assert_eq!(found["good"], true, "{found:#}");
            assert_eq!(found["unasked"], Value::Null);
            assert_eq!(probes(&found, "no"), Vec::<String>::new());
            assert_eq!(probes(&found, "unknown"), Vec::<String>::new());
            assert!(probes(&found, "yes").len() > 60, "{found:#}");
        }
        let ended = rig.say(&["verify", "walls"])?;
        let (shown, said) = (text(&ended.stdout), text(&ended.stderr));
        assert!(ended.status.success(), "{said}");
        assert!(
            shown.contains("no_new_privs") && shown.contains(" 0 unknown"),
            "{shown}{said}"
        );
        Ok(())
    });
}

#[test]
fn a_wall_that_was_opened_is_found_from_inside_and_from_outside() {
    with_rig(async |rig| {
        let open = ["--extra-arg=--security-opt=seccomp=unconfined"];
        let open = [&open[..], &["--extra-arg=--cap-add=NET_RAW"]].concat();
        started(rig, "open", &open)?;
        for words in [&options(rig, "open", &open)[..], &["open"]] {
            let found = verified(rig, words, 1)?;
            let fallen = probes(&found, "no");
            for probe in ["capabilities.bounding", "seccomp", "socket.raw"] {
                assert!(fallen.iter().any(|one| one == probe), "{probe}: {fallen:?}");
            }
        }
        let ended = rig.say(&["verify", "open"])?;
        let (shown, said) = (text(&ended.stdout), text(&ended.stderr));
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(shown.contains("hint: "), "{shown}{said}");
        // Limits that differ from what is asked are the engine's to tell.
        started(rig, "small", &["--pids", "64"])?;
        let found = verified(rig, &options(rig, "small", &["--pids", "32"]), 1)?;
        assert!(
            probes(&found, "no").contains(&"limit.pids".to_owned()),
            "{found:#}"
        );
        assert!(
            found["differences"]
                .as_array()
                .is_some_and(|all| !all.is_empty())
        );
        Ok(())
    });
}

#[test]
fn without_an_agent_the_engine_speaks_and_the_rest_is_unknown() {
    with_rig(async |rig| {
        let spec = rig.spec(rig.file("silent"))?;
        let sandbox = rig.get_with(&spec, Agent::None).await?;
        let found = verified(rig, &["silent"], 0)?;
        assert!(
            found["unasked"]
                .as_str()
                .is_some_and(|why| why.contains("no agent"))
        );
        let (yes, unknown) = (probes(&found, "yes"), probes(&found, "unknown"));
        assert!(yes.contains(&"no_new_privs".to_owned()), "{found:#}");
        assert!(unknown.contains(&"call.mount".to_owned()), "{found:#}");
        sandbox.stop(std::time::Duration::ZERO).await?;
        let down = verified(rig, &["silent"], 0)?;
        assert!(
            down["unasked"]
                .as_str()
                .is_some_and(|why| why.contains("exited"))
        );
        let none = rig.say(&["verify", "nobody"])?;
        assert_eq!(none.status.code(), Some(3), "{}", text(&none.stderr));
        Ok(())
    });
}
