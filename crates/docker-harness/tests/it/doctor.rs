//! `talaria doctor` in real containers: what really goes wrong is found, and nothing is changed.

use docker_harness::{Container, Failure, Identity, on_base};

use crate::common::{light, profile, talaria, wait_down, wait_listening};
use crate::profile::running;

/// The rows that are not good, as `state name: detail`, by what they begin with.
async fn findings(container: &Container, code: i64) -> Result<Vec<String>, Failure> {
    let said = talaria(container, &["doctor"]).await?;
    assert_eq!(code, said.code, "{}{}", said.stdout, said.stderr);
    let mut odd = Vec::new();
    for row in said.stdout.lines() {
        let cells: Vec<_> = row.split('\t').collect();
        let [state, name, detail, hint] = cells[..] else {
            return Err(format!("{row:?} is no row").into());
        };
        assert_eq!(state == "good", hint.is_empty(), "{row}");
        if state != "good" {
            odd.push(format!("{state} {name}: {detail}"));
        }
    }
    Ok(odd)
}

#[test]
fn a_good_container_has_no_findings_for_hermes_and_for_root() {
    on_base(async |lab| {
        let container = running(lab, docker_harness::Tree::new()).await?;
        assert_eq!([""; 0], *findings(&container, 0).await?);
        let before = container
            .exec_root([
                "find",
                "/opt/data",
                "/run",
                "-xdev",
                "-printf",
                "%p %m %u %i %T@\n",
            ])
            .await?;
        for who in [Identity::Hermes, Identity::Root] {
            let json = container
                .exec_as(who, ["talaria", "doctor", "--json"], None)
                .await?;
            assert_eq!(0, json.code);
            assert!(
                json.stdout.starts_with("{\n  \"good\": true,"),
                "{}",
                json.stdout
            );
        }
        let after = container
            .exec_root([
                "find",
                "/opt/data",
                "/run",
                "-xdev",
                "-printf",
                "%p %m %u %i %T@\n",
            ])
            .await?;
        assert_eq!(before.stdout, after.stdout);
        Ok(())
    });
}

#[test]
fn what_goes_wrong_in_a_home_is_found_with_root_writing_it() {
    on_base(async |lab| {
        let files = profile("/opt/data", 10_000, "coder", "stopped").and(profile(
            "/opt/data",
            10_000,
            "writer",
            "stopped",
        ));
        let container = running(lab, files).await?;
        let script = "cd /opt/data; chmod 644 .env 2> /dev/null || { touch .env; chmod 644 .env; chown hermes .env; }
             echo x > root-was-here; mkdir profiles/Bad; touch profiles/Bad/SOUL.md; chown -R hermes profiles/Bad
             echo API_SERVER_PORT=9300 > profiles/coder/.env; cp profiles/coder/.env profiles/writer/.env
             chown hermes profiles/*/.env; chmod 600 profiles/*/.env
             echo '{' > profiles/coder/gateway_state.json
             echo '{\"desired_state\": \"rnning\"}' > profiles/writer/gateway_state.json
             cd /run/service/gateway-coder; rm run; echo '#!/bin/sh' > run";
        assert_eq!(0, container.exec_root(["sh", "-c", script]).await?.code);
        let found = findings(&container, 1).await?;
        for expected in [
            "note secrets: /opt/data/.env: mode 0644: others can read it",
            "note owners: 1 files are not the agent's, such as /opt/data/root-was-here of uid 0",
            "note profiles: profiles/Bad: passed over: ",
            "note slots: gateway-coder: run not the image's own",
            "note gateway state: /opt/data/profiles/coder/gateway_state.json: EOF while parsing",
            "note gateway state: /opt/data/profiles/writer/gateway_state.json: \"rnning\" is no state",
            "bad ports: port 9300 is that of the profiles coder, writer",
        ] {
            assert!(
                found.iter().any(|row| row.starts_with(expected)),
                "{expected} is not in {found:#?}"
            );
        }
        assert_eq!(7, found.len(), "{found:#?}");
        Ok(())
    });
}

#[test]
fn slots_and_profiles_that_miss_each_other_are_found_and_their_hints_mend_them() {
    on_base(async |lab| {
        let files = profile("/opt/data", 10_000, "coder", "stopped").and(profile(
            "/opt/data",
            10_000,
            "writer",
            "stopped",
        ));
        let container = running(lab, files).await?;
        let script = "cd /opt/data/profiles; rm -r writer; mkdir late; touch late/SOUL.md";
        assert_eq!(0, container.shell(script).await?.code);
        assert_eq!(
            [
                "note slots: profile late has no slot",
                "note slots: gateway-writer has no profile",
            ],
            *findings(&container, 0).await?
        );
        for hint in [
            "talaria gateway start -p late",
            "talaria profile delete writer",
        ] {
            let done = container.exec(hint.split(' ')).await?;
            assert_eq!(0, done.code, "{hint}: {}", done.stderr);
        }
        assert_eq!([""; 0], *findings(&container, 0).await?);
        Ok(())
    });
}

#[test]
fn a_home_that_cannot_be_written_and_a_secret_that_cannot_be_read_are_bad() {
    on_base(async |lab| {
        let container = running(lab, docker_harness::Tree::new()).await?;
        let script = "chown 1234:1234 /opt/data; chmod 755 /opt/data; touch /opt/data/auth.json; chmod 600 /opt/data/auth.json";
        assert_eq!(0, container.exec_root(["sh", "-c", script]).await?.code);
        let found = findings(&container, 1).await?;
        for expected in [
            "bad home: /opt/data: belongs to 1234:1234 and cannot be written by 10000:10000",
            "bad secrets: /opt/data/auth.json: mode 0600 of uid 0: the agent cannot read it",
        ] {
            assert!(
                found.iter().any(|row| row == expected),
                "{expected} is not in {found:#?}"
            );
        }
        Ok(())
    });
}

#[test]
fn an_engines_init_odd_variables_and_a_stranger_on_the_port_are_notes() {
    on_base(async |lab| {
        let spec = lab
            .container()
            .files(light())
            .init()
            .env("HERMES_DASHBOARD", "maybe")
            .env("S6_KILL_GRACETIME", "3s")
            .command([
                "perl",
                "-MIO::Socket::INET",
                "-e",
                "my $s = IO::Socket::INET->new(LocalPort => 8642, Listen => 1) or die; sleep 1000",
            ]);
        let container = lab.start(spec).await?;
        wait_down(&container, "gateway-default").await?;
        wait_listening(&container, 8642).await?;
        let found = findings(&container, 0).await?;
        assert_eq!(
            [
                "note supervisor: PID 1 is docker-init; the init supervises below it, unseen by the agent's own command line",
                "note environment: HERMES_DASHBOARD=maybe",
                "note environment: S6_KILL_GRACETIME=3s",
                "note ports: profile default: something else listens on its port 8642",
            ],
            *found
        );
        Ok(())
    });
}

#[test]
fn without_the_init_the_supervisor_is_missed() {
    on_base(async |lab| {
        let spec = lab.container().files(light()).entrypoint(["sleep", "1000"]);
        let container = lab.start(spec).await?;
        let found = findings(&container, 1).await?;
        assert_eq!(
            "bad supervisor: nothing supervises, PID 1 is sleep",
            found[0]
        );
        Ok(())
    });
}

#[test]
fn somebody_else_is_told_whom_to_be() {
    on_base(async |lab| {
        let container = running(lab, docker_harness::Tree::new()).await?;
        let stranger = Identity::Ids(1234, 1234);
        let doctor = container
            .exec_as(stranger, ["talaria", "doctor"], None)
            .await?;
        assert_eq!(
            (
                1,
                "bad\tidentity\tthis is uid 1234, and the agent here is uid 10000\t\
                 docker exec -u 10000 CONTAINER talaria doctor, or as root\n"
            ),
            (doctor.code, &*doctor.stdout)
        );
        let start = ["talaria", "gateway", "start"];
        let start = container.exec_as(stranger, start, None).await?;
        assert_eq!(
            (
                4,
                "talaria: /opt/data: cannot record what is wanted: Permission denied (os error 13)\n\
                 hint: it is the agent's user's: docker exec -u hermes, or as root; \
                 talaria doctor tells whose the home is\n"
            ),
            (start.code, &*start.stderr)
        );
        Ok(())
    });
}
