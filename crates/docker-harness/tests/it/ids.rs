//! `HERMES_UID` and `HERMES_GID`: the agent's user takes the ids of a bind mount's owner.

use docker_harness::variant::Promise;
use docker_harness::{Identity, on_base};
use rstest::rstest;

use crate::common::{SOON, light_with_profiles, messages, promised, wait_lines, wait_up};

#[rstest]
#[case::ours("HERMES_UID", "HERMES_GID")]
#[case::the_alias("PUID", "PGID")]
fn everything_of_the_agents_runs_under_the_ids_asked_for(#[case] uid: &str, #[case] gid: &str) {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let spec = lab
            .container()
            .files(light_with_profiles())
            .env(uid, "1500")
            .env(gid, "1600");
        let container = lab.start(spec.command(["sleep", "infinity"])).await?;
        let who = Identity::Ids(1500, 1600);
        wait_up(&container, who, "gateway-coder").await?;
        wait_lines(&container, who, "/opt/data/notes-coder", &["started 1500"]).await?;
        let processes = container.processes().await?;
        for process in processes.iter().filter(|process| process.uid() != 0) {
            assert_eq!(
                ([1500; 4], [1600; 4]),
                (process.uids, process.gids),
                "{process:?}"
            );
        }
        assert_eq!(
            [1500],
            *processes
                .with_line("sleep infinity")
                .iter()
                .map(|it| it.uid())
                .collect::<Vec<_>>()
        );
        let owners = container
            .exec_root(["stat", "-c", "%n %u:%g", "/opt/data", "/run/service"])
            .await?;
        assert_eq!(
            "/opt/data 1500:1600\n/run/service 1500:1600\n",
            owners.stdout
        );
        assert_eq!(
            "uid=1500(hermes) gid=1600(hermes) groups=1600(hermes)\n",
            container.exec_as(who, ["id"], None).await?.stdout
        );
        Ok(())
    });
}

#[rstest]
#[case("HERMES_UID", "0")]
#[case("HERMES_GID", "0")]
#[case("PUID", "65535")]
#[case("PGID", "-1")]
#[case("HERMES_UID", "hermes")]
#[case("HERMES_UID", "-1")]
#[case("HERMES_UID", "70000")]
#[case("PGID", "abc")]
fn ids_that_cannot_be_had_stop_the_boot(#[case] name: &str, #[case] value: &str) {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let ended = lab
            .run(
                lab.container().env(name, value).shell("echo main ran"),
                SOON,
            )
            .await?;
        assert_eq!(
            (78, ""),
            (ended.code, &*ended.output.out()),
            "{}",
            ended.output.err()
        );
        let message = format!("{name}=\"{value}\" is no id for the agent: 1 to 65534 are");
        let hint = "hint: leave it out for 10000, or give the ids that own the directory: stat -c %u:%g DIRECTORY";
        assert_eq!([message.as_str(), hint], *messages(&ended.output.err()));
        Ok(())
    });
}

#[test]
fn ids_cannot_change_under_a_read_only_root() {
    on_base(async |lab| {
        if !promised(lab, Promise::ReadOnlyRoot) {
            return Ok(());
        }
        let spec = lab
            .container()
            .env("HERMES_UID", "1500")
            .read_only()
            .tmpfs("/run", "rw,noexec,nosuid,size=64m");
        let ended = lab.run(spec.shell("echo main ran"), SOON).await?;
        assert_eq!(
            (78, ""),
            (ended.code, &*ended.output.out()),
            "{}",
            ended.output.err()
        );
        let expected = [
            "/etc/passwd: cannot change the ids of the agent's user: Read-only file system (os error 30)",
            "hint: under --read-only start with --user UID:GID instead of HERMES_UID and HERMES_GID",
        ];
        assert_eq!(2, messages(&ended.output.err()).len());
        assert_eq!(expected[1], messages(&ended.output.err())[1]);
        Ok(())
    });
}
