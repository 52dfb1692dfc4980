//! In an agent's container: profiles that are not there or are, ports, ids, a full home.

use docker_harness::{Container, Failure, Identity, TestResult, on_base};

use super::Table;
use crate::common::{light, profile, wait_listening, wait_main};
use crate::profile::running;

async fn say(
    table: &mut Table,
    container: &Container,
    who: Identity,
    title: &str,
    typed: &str,
) -> TestResult {
    let said = container.exec_as(who, typed.split(' '), None).await?;
    table.row(title, typed, &said.stdout, &said.stderr, said.code);
    Ok(())
}

#[test]
fn what_goes_wrong_with_profiles_is_told_with_what_to_do() {
    on_base(async |lab| {
        let mut table = Table::default();
        let files = profile("/opt/data", 10_000, "coder", "stopped").and(profile(
            "/opt/data",
            10_000,
            "writer",
            "stopped",
        ));
        let container = running(lab, files).await?;
        for (title, typed) in [
            (
                "a profile that is not there",
                "talaria gateway start -p nobody",
            ),
            ("nor its log", "talaria gateway logs -p nobody"),
            ("a profile that is there", "talaria profile create coder"),
            (
                "a name that no profile can have",
                "talaria profile create Coder",
            ),
            ("the default profile", "talaria profile delete default"),
            ("a service that is not there", "talaria svc stat nothing"),
            ("the engine's commands, in here", "talaria sandbox run"),
        ] {
            say(&mut table, &container, Identity::Hermes, title, typed).await?;
        }
        let stranger = Identity::Ids(1234, 1234);
        for typed in [
            "talaria gateway start -p coder",
            "talaria profile create other",
            "talaria doctor",
        ] {
            say(&mut table, &container, stranger, "somebody else", typed).await?;
        }
        let same = "cd /opt/data/profiles; for it in coder writer; do echo API_SERVER_PORT=9300 > $it/.env; chmod 600 $it/.env; done";
        assert_eq!(0, container.shell(same).await?.code);
        let doctor = container.exec(["talaria", "doctor"]).await?;
        let ports = doctor
            .stdout
            .lines()
            .filter(|row| row.contains("\tports\t"));
        let ports: String = ports.collect();
        table.row(
            "two profiles with one port",
            "talaria doctor",
            &ports,
            "",
            doctor.code,
        );
        insta::assert_snapshot!("profiles", table.text);
        Ok(())
    });
}

#[test]
fn a_port_that_somebody_else_has_is_told() {
    on_base(async |lab| {
        let mut table = Table::default();
        let spec = lab.container().files(light()).command([
            "perl",
            "-MIO::Socket::INET",
            "-e",
            "my $s = IO::Socket::INET->new(LocalPort => 8642, Listen => 1) or die; sleep 1000",
        ]);
        let container = lab.start(spec).await?;
        wait_listening(&container, 8642).await?;
        for title in ["its port is somebody else's", "and it runs all the same"] {
            let typed = "talaria gateway start --wait";
            say(&mut table, &container, Identity::Hermes, title, typed).await?;
        }
        insta::assert_snapshot!("port_taken", table.text);
        Ok(())
    });
}

#[test]
fn a_full_home_is_told_and_loses_nothing() {
    on_base(async |lab| {
        let mut table = Table::default();
        let spec = lab
            .container()
            .files(light())
            .tmpfs("/opt/data", "rw,size=256k,mode=755");
        let container = lab.start(spec.command(["sleep", "1000"])).await?;
        wait_main(&container).await?;
        // To the last byte: what is left over from one large write is filled with small ones.
        let fill = "cd /opt/data; cat /dev/zero > filler 2> /dev/null; cat /dev/zero > more 2> /dev/null; true";
        container.shell(fill).await?;
        for typed in ["talaria profile create coder", "talaria gateway start"] {
            let title = "no room in the home";
            say(&mut table, &container, Identity::Hermes, title, typed).await?;
        }
        let doctor = container.exec(["talaria", "doctor"]).await?;
        let space = doctor.stdout.lines().find(|row| row.contains("\tspace\t"));
        let cells: Vec<_> = space.unwrap_or_default().split('\t').collect();
        let [state, name, _, hint] = cells[..] else {
            return Err(Failure::from(doctor.stdout));
        };
        let row = format!("{state}\t{name}\t...\t{hint}");
        table.row(
            "what the doctor says",
            "talaria doctor",
            &row,
            "",
            doctor.code,
        );
        // With room again the same commands do what they are to do.
        assert_eq!(
            0,
            container
                .shell("rm /opt/data/filler /opt/data/more")
                .await?
                .code
        );
        for typed in [
            "talaria profile create coder",
            "talaria gateway start --wait",
        ] {
            let done = container.exec(typed.split(' ')).await?;
            assert_eq!(0, done.code, "{typed}: {}", done.stderr);
        }
        insta::assert_snapshot!("full_home", table.text);
        Ok(())
    });
}

#[test]
fn without_the_init_there_is_no_supervision_to_speak_to() {
    on_base(async |lab| {
        let mut table = Table::default();
        let spec = lab.container().files(light());
        let container = lab.start(spec.entrypoint(["sleep", "1000"])).await?;
        for typed in [
            "talaria gateway start",
            "talaria health",
            "talaria svc list",
        ] {
            let title = "another entrypoint";
            say(&mut table, &container, Identity::Hermes, title, typed).await?;
        }
        insta::assert_snapshot!("no_init", table.text);
        Ok(())
    });
}
