//! What agents run all day, under the profile.

use docker_harness::{Container, Failure, Identity, Lab, on_base, on_hermes};
use rstest::rstest;
use sandbox_core::posture::Network;

use super::{Walls, posture, start};

async fn ran(container: &Container, script: &str) -> Result<String, Failure> {
    let ran = container
        .exec_as(Identity::Container, ["bash", "-c", script], None)
        .await?;
    assert_eq!(0, ran.code, "{script}\n{}{}", ran.stdout, ran.stderr);
    Ok(ran.stdout)
}

async fn sandbox(lab: &Lab, user: Option<(u32, u32)>, network: &str) -> Result<Container, Failure> {
    let posture = posture(
        user,
        if network == "none" {
            Network::None
        } else {
            Network::Isolated
        },
    );
    start(lab, Walls::of(lab, &posture, network)?).await
}

#[rstest]
#[case::threads(
    "python3 -c 'from concurrent.futures import ThreadPoolExecutor as T, ProcessPoolExecutor as P; print(sum(T(8).map(abs, range(100))), sum(P(2).map(abs, range(10))))'",
    "4950 45\n"
)]
#[case::event_loop(
    "python3 -c 'import asyncio; print(asyncio.run(asyncio.wait_for(asyncio.sleep(0, 7), 60)))'",
    "7\n"
)]
#[case::subprocess(
    "python3 -c 'import subprocess as s; print(s.check_output([\"echo\", \"hi\"], text=True), end=\"\")'",
    "hi\n"
)]
#[case::venv(
    "cd /tmp && python3 -m venv --without-pip v && v/bin/python -c 'print(1)'",
    "1\n"
)]
#[case::git(
    "cd /tmp && git init -q a && cd a && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m one && git clone -q /tmp/a /tmp/b && git -C /tmp/b log --format=%s",
    "one\n"
)]
#[case::node_workers(
    "node -e 'const {Worker} = require(\"worker_threads\"); new Worker(\"require(\\\"worker_threads\\\").parentPort.postMessage(42)\", {eval: true}).on(\"message\", m => console.log(m))'",
    "42\n"
)]
#[case::node_files(
    "node -e 'require(\"fs\").promises.readFile(\"/etc/hostname\").then(() => console.log(\"read\"))'",
    "read\n"
)]
#[case::job_control(
    "set -m; sleep 60 & kill -STOP %1; kill -CONT %1; kill %1; wait %1; echo $?",
    "143\n"
)]
#[case::fifo("cd /tmp && mkfifo f && (echo through > f &) && cat f", "through\n")]
#[case::ripgrep("echo needle > /tmp/x && rg -o needle /tmp/x", "needle\n")]
fn it_works_for_both_users(
    #[case] script: &str,
    #[case] said: &str,
    #[values(None, Some((1000, 1000)))] user: Option<(u32, u32)>,
) {
    on_hermes(async |lab| {
        let container = sandbox(lab, user, "none").await?;
        let script = format!("export HOME=/tmp PATH=/opt/hermes/.venv/bin:$PATH; {script}");
        assert_eq!(said, ran(&container, &script).await?);
        Ok(())
    });
}

#[test]
fn packages_install_and_what_they_bring_compiles_as_root() {
    on_base(async |lab| {
        let network = lab.network(true).await?;
        let container = sandbox(lab, None, &network).await?;
        let install = "apt-get update -qq 2>&1 && apt-get install -yqq --no-install-recommends tcc libc6-dev 2>&1";
        let installed = container
            .exec_as(Identity::Container, ["bash", "-c", install], None)
            .await?;
        if installed.code != 0 && installed.stdout.contains("Temporary failure resolving") {
            docker_harness::engine::skip(lab.test(), "Debian's archive is out of reach");
            return Ok(());
        }
        assert_eq!(0, installed.code, "{}", installed.stdout);
        let compile = "cd /tmp && printf '#include <stdio.h>\\nint main(void) { puts(\"hello\"); }' > h.c && tcc -o h h.c && ./h";
        assert_eq!("hello\n", ran(&container, compile).await?);
        Ok(())
    });
}
