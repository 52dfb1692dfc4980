//! At a container's start: ids, volumes, commands and hooks that cannot be.

use docker_harness::variant::Promise;
use docker_harness::{Spec, Tree, on_base};

use super::Table;
use crate::common::{SOON, light, promised};

#[test]
fn a_boot_that_cannot_be_says_why_and_what_to_do() {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let mut table = Table::default();
        let spec = || lab.container().files(light());
        let hook = Tree::new().file("/etc/cont-init.d/50-mine", 0o644, "#!/bin/sh\n");
        let service = Tree::new()
            .directory("/etc/s6-overlay/s6-rc.d", 0o755)
            .directory("/etc/s6-overlay/s6-rc.d/web", 0o755)
            .file("/etc/s6-overlay/s6-rc.d/web/type", 0o644, "longrun\n");
        let toml = Tree::new().file("/etc/talaria/agent.toml", 0o644, "name = 1\n");
        let rows: Vec<(&str, &str, Spec)> = vec![
            (
                "root's id for the agent",
                "-e HERMES_UID=0 IMAGE true",
                spec().env("HERMES_UID", "0").command(["true"]),
            ),
            (
                "a name for an id",
                "-e PUID=me IMAGE true",
                spec().env("PUID", "me").command(["true"]),
            ),
            (
                "a user who may not write the home",
                "--user 1234:1234 IMAGE true",
                lab.container().user("1234:1234").command(["true"]),
            ),
            (
                "a read-only root without a /run",
                "--read-only IMAGE true",
                lab.container().read_only().command(["true"]),
            ),
            (
                "the gateway of a profile that is not there",
                "IMAGE gateway run -p nobody",
                spec().command(["-p", "nobody", "gateway", "run"]),
            ),
            (
                "a program that is not there",
                "IMAGE with /no/such/program for the agent",
                lab.container()
                    .files(Tree::new().file(
                        "/etc/talaria/agent.toml",
                        0o644,
                        "name = \"x\"\nprogram = \"/no/such/program\"\n",
                    ))
                    .command(["chat"]),
            ),
            (
                "a hook that cannot be executed, and a boot that ends for it",
                "-e S6_BEHAVIOUR_IF_STAGE2_FAILS=2 IMAGE true",
                spec()
                    .files(light().and(hook))
                    .env("S6_BEHAVIOUR_IF_STAGE2_FAILS", "2")
                    .command(["true"]),
            ),
            (
                "services of s6-rc",
                "IMAGE true",
                spec().files(light().and(service)).command(["true"]),
            ),
            (
                "an agent.toml that is wrong",
                "IMAGE true",
                lab.container().files(toml).command(["chat"]),
            ),
        ];
        for (title, typed, spec) in rows {
            let ended = lab.run(spec, SOON).await?;
            let typed = format!("docker run {typed}");
            table.row(
                title,
                &typed,
                &ended.output.out(),
                &ended.output.err(),
                ended.code,
            );
        }
        insta::assert_snapshot!("boot", table.text);
        Ok(())
    });
}
