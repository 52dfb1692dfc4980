//! The dashboard beside the gateways: when it runs, where it listens, what it says.

use docker_harness::{Container, Failure, Identity, Lab, Level, Tree, on_base, wait_for};

use crate::common::{AGENT_TOML, SOON, light, slot, talaria, wait_down, wait_up};

/// Says where it was told to listen, and does; ends at once where a file tells it to.
const DASHBOARD: &str = r#"#!/usr/bin/perl
use IO::Socket::INET;
$| = 1;
if (-e "/opt/data/dashboard-crashes") { print "crashing\n"; exit 3 }
my ($host, $port) = @ARGV;
my $socket = IO::Socket::INET->new(LocalAddr => $host, LocalPort => $port, Listen => 5, ReuseAddr => 1)
    or die "cannot listen: $!";
print "listening on $host $port as $>\n";
while (my $client = $socket->accept) { close $client }
"#;

/// The light agent, which has a dashboard as well: `dashboard --host HOST --port PORT`, too.
pub(crate) fn light_with_dashboard() -> Tree {
    let toml = AGENT_TOML.replace("\"gateway\"]", "\"gateway\", \"dashboard\"]");
    let toml = format!(
        "{toml}\n[dashboard]\ncommand = [\"/opt/light/dashboard\", \"{{host}}\", \"{{port}}\"]\n"
    );
    let agent = "#!/bin/sh\n[ \"$1 $2 $4\" = 'dashboard --host --port' ] && exec /opt/light/dashboard \"$3\" \"$5\"\nexit 9\n";
    light().and(
        Tree::new()
            .file("/etc/talaria/agent.toml", 0o644, toml)
            .file("/opt/light/agent", 0o755, agent)
            .file("/opt/light/dashboard", 0o755, DASHBOARD),
    )
}

async fn started(lab: &Lab, variables: &[(&str, &str)]) -> Result<Container, Failure> {
    let spec = lab.container().files(light_with_dashboard());
    let spec = variables
        .iter()
        .fold(spec, |spec, (name, value)| spec.env(name, value));
    let container = lab.start(spec.command(["sleep", "infinity"])).await?;
    wait_down(&container, "gateway-default").await?;
    Ok(container)
}

async fn row(container: &Container) -> Result<Vec<String>, Failure> {
    let said = talaria(container, &["status"]).await?;
    let row = said
        .stdout
        .lines()
        .find(|row| row.starts_with("[dashboard]\t"))
        .ok_or_else(|| format!("no row: {said:?}"))?;
    Ok(row.split('\t').map(str::to_owned).collect())
}

#[test]
fn a_dashboard_runs_only_where_it_is_asked_for() {
    on_base(async |lab| {
        for value in [None, Some("0"), Some("no"), Some("")] {
            let variables: Vec<_> = value
                .map(|value| ("HERMES_DASHBOARD", value))
                .into_iter()
                .collect();
            let container = started(lab, &variables).await?;
            wait_down(&container, "dashboard").await?;
            let row = row(&container).await?;
            assert_eq!(
                ("down", "-", "-"),
                (&*row[1], &*row[2], &*row[5]),
                "{value:?}"
            );
            assert_eq!(0, talaria(&container, &["health"]).await?.code);
            // Whoever starts it by hand is told, and it stays down.
            let up = ["svc", "control", "dashboard", "up", "--wait", "finished"];
            talaria(&container, &up).await?;
            wait_down(&container, "dashboard").await?;
            let hint =
                "[dashboard] talaria: dashboard: not asked for; HERMES_DASHBOARD=1 asks for it";
            container.says(hint, SOON).await?;
        }
        for value in ["1", "true", "yes", "TRUE"] {
            let container = started(lab, &[("HERMES_DASHBOARD", value)]).await?;
            wait_up(&container, Identity::Hermes, "dashboard").await?;
            container
                .says("[dashboard] listening on 127.0.0.1 9119 as 10000", SOON)
                .await?;
        }
        Ok(())
    });
}

#[test]
fn on_loopback_the_log_says_how_to_publish_it() {
    on_base(async |lab| {
        let container = started(lab, &[("HERMES_DASHBOARD", "1")]).await?;
        let hint = "[dashboard] talaria: dashboard: on 127.0.0.1:9119, for this container alone; \
                    HERMES_DASHBOARD_HOST=0.0.0.0 publishes it, which needs a password or a login \
                    provider set up in the agent";
        container.says(hint, SOON).await?;
        let pid = wait_up(&container, Identity::Hermes, "dashboard").await?;
        let line = format!("tr '\\0' ' ' < /proc/{pid}/cmdline");
        assert_eq!(
            "/usr/bin/perl /opt/light/dashboard 127.0.0.1 9119 ",
            container.shell(&line).await?.stdout
        );
        Ok(())
    });
}

#[test]
fn host_and_port_are_the_variables() {
    on_base(async |lab| {
        let variables = [
            ("HERMES_DASHBOARD", "1"),
            ("HERMES_DASHBOARD_HOST", "0.0.0.0"),
            ("HERMES_DASHBOARD_PORT", "9200"),
        ];
        let container = started(lab, &variables).await?;
        container
            .says("[dashboard] listening on 0.0.0.0 9200 as 10000", SOON)
            .await?;
        let row = row(&container).await?;
        assert_eq!(("up", "9200"), (&*row[1], &*row[5]));
        assert!(
            !container
                .output()
                .await?
                .out()
                .contains("for this container alone")
        );
        Ok(())
    });
}

#[test]
fn a_dashboard_that_crashes_is_back_and_counted_and_one_that_keeps_crashing_is_unhealthy() {
    on_base(async |lab| {
        let container = started(lab, &[("HERMES_DASHBOARD", "1")]).await?;
        let before = wait_up(&container, Identity::Hermes, "dashboard").await?;
        container.shell(&format!("kill -9 {before}")).await?;
        let back = wait_for("it is back", SOON, async || {
            let slot = slot(&container, Identity::Hermes, "dashboard").await?;
            let other = slot.filter(|slot| slot.up && slot.pid != before);
            Ok::<_, Failure>(Level::when(other.is_some(), slot))
        });
        back.await?;
        let counted = row(&container).await?;
        assert_eq!(
            ("up", "1", "SIGKILL"),
            (&*counted[1], &*counted[4], &*counted[6])
        );
        assert_eq!(0, talaria(&container, &["health"]).await?.code);

        let pid = wait_up(&container, Identity::Hermes, "dashboard").await?;
        let crash = format!("touch dashboard-crashes; kill -9 {pid}");
        assert_eq!(0, container.shell(&crash).await?.code);
        let unhealthy = wait_for("health names the dashboard", SOON, async || {
            let said = talaria(&container, &["health"]).await?;
            let named = said
                .stderr
                .starts_with("talaria: dashboard: keeps failing, its last exit: 3\nhint: ");
            Ok::<_, Failure>(Level::when(said.code == 1 && named, said))
        });
        unhealthy.await?;
        assert_eq!("backing-off", row(&container).await?[1]);
        let doctor = talaria(&container, &["doctor"]).await?;
        assert_eq!(1, doctor.code);
        assert!(
            doctor
                .stdout
                .contains("bad\tdashboard\tkeeps failing, its last exit: 3\t"),
            "{}",
            doctor.stdout
        );
        Ok(())
    });
}
