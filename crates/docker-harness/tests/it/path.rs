//! `PATH`, whichever way somebody comes in.

use docker_harness::{Failure, Identity, Level, Tree, on_hermes, wait_for};

use crate::common::{SOON, light, wait_down};

#[test]
fn hermes_and_talaria_are_found_by_exec_by_login_shells_and_by_services() {
    on_hermes(async |lab| {
        let run = "#!/bin/sh\nfor name in hermes talaria s6-svstat; do command -v $name; done > /tmp/service-path\nexec sleep infinity\n";
        let files = light().and(Tree::new().directory("/etc/services.d/probe", 0o755).file(
            "/etc/services.d/probe/run",
            0o755,
            run,
        ));
        let spec = lab.container().files(files).command(["sleep", "infinity"]);
        let container = lab.start(spec).await?;
        wait_down(&container, "gateway-default").await?;
        let expected = "/opt/hermes/bin/hermes\n/usr/local/bin/talaria\n";
        for who in [Identity::Hermes, Identity::Root] {
            for shell in [["sh", "-c"], ["bash", "-lc"], ["sh", "-lc"]] {
                let command = shell
                    .into_iter()
                    .chain(["for name in hermes talaria; do command -v $name; done"]);
                let found = container.exec_as(who, command, None).await?;
                assert_eq!(expected, found.stdout, "{who:?} {shell:?}");
            }
        }
        // A program of the image's is found before one that the agent could put in its home.
        let plant = "mkdir -p .local/bin && ln -s /bin/false .local/bin/talaria";
        assert_eq!(0, container.shell(plant).await?.code);
        let found = container
            .exec_root(["bash", "-lc", "command -v talaria"])
            .await?;
        assert_eq!("/usr/local/bin/talaria\n", found.stdout);

        let service = wait_for("the service has looked", SOON, async || {
            let found = container.shell("cat /tmp/service-path").await?.stdout;
            Ok::<_, Failure>(Level::when(found.lines().count() == 3, found))
        });
        service.await?;
        let found = container.shell("cat /tmp/service-path").await?.stdout;
        assert_eq!(format!("{expected}/command/s6-svstat\n"), found);
        Ok(())
    });
}
