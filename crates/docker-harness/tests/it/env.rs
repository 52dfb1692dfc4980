//! The container's environment, kept byte for byte for those whom it does not reach by itself.

use std::collections::BTreeMap;

use docker_harness::{Container, Failure, Identity, Lab, Spec, Tree, on_base};

use crate::common::SOON;

type Variables = BTreeMap<Vec<u8>, Vec<u8>>;

/// Every byte that a variable can hold, and more.
fn raw() -> Vec<u8> {
    (1..=255).chain(*b"=\n\xff\xfe\x80\n\n").collect()
}

const NEWLINES: &str = "\none\n\ntwo\n\n";

fn with_variables(spec: Spec) -> Spec {
    spec.env("PLAIN", "value")
        .env("EMPTY", "")
        .env("NEWLINES", NEWLINES)
        .env("EQUALS", "=a=b==")
        .env("BLANKS", "  leading and trailing\t ")
        .env("UNICODE", "ὕβρις \u{1F980}")
        .env("lower.case-1", "odd name")
        .env("LONG", &"x".repeat(100_000))
        .raw_env("RAW", &raw())
}

fn expected() -> Variables {
    let long = "x".repeat(100_000);
    let pairs: [(&str, &[u8]); 9] = [
        ("PLAIN", b"value"),
        ("EMPTY", b""),
        ("NEWLINES", NEWLINES.as_bytes()),
        ("EQUALS", b"=a=b=="),
        ("BLANKS", b"  leading and trailing\t "),
        ("UNICODE", "ὕβρις \u{1F980}".as_bytes()),
        ("lower.case-1", b"odd name"),
        ("LONG", long.as_bytes()),
        ("RAW", &raw()),
    ];
    pairs
        .map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()))
        .into()
}

fn parse(environ: &[u8]) -> Variables {
    let records = environ
        .split(|byte| *byte == 0)
        .filter(|record| !record.is_empty());
    let pairs = records.filter_map(|record| {
        let equals = record.iter().position(|byte| *byte == b'=')?;
        Some((record[..equals].to_vec(), record[equals + 1..].to_vec()))
    });
    pairs.collect()
}

fn assert_holds(found: &Variables) {
    for (name, value) in expected() {
        let name_text = String::from_utf8_lossy(&name).into_owned();
        let same = found.get(&name) == Some(&value);
        let seen = found.get(&name).map(|value| {
            String::from_utf8_lossy(value)
                .chars()
                .take(300)
                .collect::<String>()
        });
        assert!(same, "{name_text} is {seen:?}");
    }
}

async fn container(lab: &Lab) -> Result<Container, Failure> {
    let service = Tree::new()
        .directory("/etc/services.d/teller", 0o755)
        .file(
            "/etc/services.d/teller/run",
            0o755,
            "#!/command/with-contenv bash\ncat /proc/self/environ > /told.tmp\nmv /told.tmp /told\nexec sleep 1000\n",
        )
        .file(
            "/etc/cont-init.d/50-tell",
            0o755,
            "#!/command/with-contenv bash\ncat /proc/self/environ > /told-hook\n",
        );
    let script = "cat /proc/self/environ > /opt/data/told-main; while ! test -e /told; do sleep 0.01; done; echo ready; exec sleep 1000";
    let spec = with_variables(
        lab.container()
            .files(service)
            .command(["bash", "-c", script]),
    );
    let container = lab.start(spec).await?;
    container.says("ready", SOON).await?;
    Ok(container)
}

#[test]
fn with_contenv_hands_over_every_variable_byte_for_byte() {
    on_base(async |lab| {
        let container = container(lab).await?;
        // From an environment that holds nothing of it.
        let command = [
            "env",
            "-i",
            "/command/with-contenv",
            "cat",
            "/proc/self/environ",
        ];
        for who in [Identity::Hermes, Identity::Root] {
            let read = container.exec_as(who, command, None).await?;
            assert_eq!((0, ""), (read.code, &*read.stderr), "{who:?}");
            assert_holds(&parse(&read.bytes));
        }
        Ok(())
    });
}

#[test]
fn the_main_program_hooks_and_services_have_them_all() {
    on_base(async |lab| {
        let container = container(lab).await?;
        for path in ["/opt/data/told-main", "/told", "/told-hook"] {
            let read = container.exec_root(["cat", path]).await?;
            assert_eq!(0, read.code, "{path}: {}", read.stderr);
            assert_holds(&parse(&read.bytes));
        }
        Ok(())
    });
}

#[test]
fn with_contenv_keeps_what_its_caller_has_beside_it() {
    on_base(async |lab| {
        let container = container(lab).await?;
        let command = [
            "env",
            "-i",
            "MINE=kept",
            "/command/with-contenv",
            "sh",
            "-c",
            "echo \"$MINE $PLAIN\"; exit 7",
        ];
        let executed = container.exec(command).await?;
        assert_eq!((7, "kept value\n"), (executed.code, &*executed.stdout));
        Ok(())
    });
}

#[test]
fn the_store_is_closed_to_everyone_but_root_and_hermes() {
    on_base(async |lab| {
        let container = container(lab).await?;
        let store = "/run/s6/container_environment";
        let stat = container
            .exec_root(["stat", "-c", "%a %u:%g", store, &format!("{store}/PLAIN")])
            .await?;
        assert_eq!("750 0:10000\n640 0:10000\n", stat.stdout);
        let open = container
            .exec_root(["find", "/run/s6/container_environment", "-perm", "/007"])
            .await?;
        assert_eq!("", open.stdout);
        let file = format!("{store}/PLAIN");
        let stranger = container.exec_as(Identity::Ids(1234, 1234), ["cat", &file], None);
        let stranger = stranger.await?;
        assert_eq!((1, ""), (stranger.code, &*stranger.stdout));
        let stranger = container.exec_as(
            Identity::Ids(1234, 1234),
            ["env", "-i", "/command/with-contenv", "true"],
            None,
        );
        assert_ne!(0, stranger.await?.code);
        Ok(())
    });
}

#[test]
fn a_variable_whose_name_is_no_file_name_is_kept_too_and_written_nowhere_else() {
    on_base(async |lab| {
        let script = "env -i /command/with-contenv cat /proc/self/environ | tr '\\0' '\\n' | grep -E '^[./]'; ls -d /run/escaped /run/s6/escaped 2> /dev/null";
        let spec = lab
            .container()
            .env("../escaped", "1")
            .env("/run/escaped", "2")
            .env("..", "3")
            .shell(script);
        let ended = lab.run(spec, SOON).await?;
        let mut lines: Vec<String> = ended.output.out().lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(
            ["../escaped=1", "..=3", "/run/escaped=2"],
            *lines,
            "{}",
            ended.output.err()
        );
        Ok(())
    });
}
