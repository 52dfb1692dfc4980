//! What a table of specs becomes: the command line and the API's body.

#![expect(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

mod common;

use std::fmt::Write as _;

use common::{caller, host, image, inputs, plan_of, spec};
use rstest::{Context, rstest};
use sandbox_core::inspect::ImageConfig;
use sandbox_core::render::{Rendering, argv, body, create};
use sandbox_core::{AgentDelivery, ContainerPlan, HostFacts, SpecFile, plan};

/// Both renderings. A secret's value is in the body alone, where it belongs.
fn shown(plan: &ContainerPlan) -> String {
    let commands = argv::create(plan, &inputs());
    let mut text = String::new();
    for step in &commands.steps {
        let line = step.to_string().replace(" --", "\n  --");
        writeln!(text, "{line}").unwrap();
        for (name, _) in &step.env {
            writeln!(text, "  with {name} from the environment").unwrap();
        }
    }
    writeln!(text, "unsaid: {:?}", commands.unsaid).unwrap();
    writeln!(text, "unenforced: {:#?}", plan.unenforced).unwrap();
    let body = serde_json::to_string_pretty(&body::create(plan, &inputs())).unwrap();
    writeln!(text, "{body}").unwrap();
    text
}

#[rstest]
#[case::bare("")]
#[case::task("task = 'a:b'")]
#[case::task_odd("task = 'é ☃ x'")]
#[case::profile("profile = 'coder'")]
#[case::cwd("cwd = '/srv'")]
#[case::cwd_home("cwd = '~'")]
#[case::cwd_below_home("cwd = '~/src'")]
#[case::cpus("cpus = 1")]
#[case::cpus_half("cpus = 0.5")]
#[case::cpus_unlimited("cpus = 'unlimited'")]
#[case::memory("memory = '512m'")]
#[case::memory_unlimited("memory = 'unlimited'")]
#[case::disk("disk = '10g'")]
#[case::disk_unlimited("disk = 'unlimited'")]
#[case::pids("pids = 64")]
#[case::pids_unlimited("pids = 'unlimited'")]
#[case::shm("shm = '1g'")]
#[case::all_unlimited("cpus = 'unlimited'\nmemory = 'unlimited'\npids = 'unlimited'")]
#[case::network_none("network = 'none'")]
#[case::network_isolated("network = 'isolated'")]
#[case::network_named("network = 'named:lan'")]
#[case::user_number("user = 1000")]
#[case::user_pair("user = '1000:100'")]
#[case::user_root("user = '0:0'")]
#[case::user_host("user = 'host'")]
#[case::mount("mounts = ['/data:/data']")]
#[case::mount_ro("mounts = ['/data:/data:ro']")]
#[case::mount_z("mounts = ['/data:/data:z']")]
#[case::mount_ro_private("mounts = ['/data:/data:ro,Z']")]
#[case::mount_relative("mounts = ['./src:/src', '../other:/other']")]
#[case::mount_home("mounts = ['~/x:/x', '~/y:~/y']")]
#[case::mount_volume("mounts = ['cache:/cache']")]
#[case::mount_comma("mounts = [{ source = '/a,b\"c', target = '/x' }]")]
#[case::mount_colon("mounts = [{ source = '/a:b', target = '/x:y', read_only = true }]")]
#[case::mount_table_z("mounts = [{ source = '/a', target = '/x', selinux = 'Z' }]")]
#[case::mount_over_tmp("mounts = ['/data:/tmp']")]
#[case::workspace_mount("mounts = ['/data:/workspace']")]
#[case::workspace_cwd("mount_cwd = true")]
#[case::workspace_persistent("persistent_filesystem = true")]
#[case::workspace_cwd_and_persistent("mount_cwd = true\npersistent_filesystem = true")]
#[case::workspace_mount_beats_all(
    "mounts = ['/data:/workspace']\nmount_cwd = true\npersistent_filesystem = true"
)]
#[case::root_mounted("mounts = ['/data:/root']\npersistent_filesystem = true")]
#[case::credentials("credentials = ['~/.netrc:/root/.netrc']")]
#[case::credentials_rw("credentials = ['~/.netrc:/root/.netrc:rw']")]
#[case::skills("skills = ['~/.hermes/skills:/skills']")]
#[case::caches("caches = ['pip-cache:/root/.cache/pip']")]
#[case::env_text("env.A = 'x y'")]
#[case::env_kinds("env = { I = 3, F = 1.5, B = true, E = '' }")]
#[case::env_secret("env.A = { secret = 's3cr3t-value' }")]
#[case::env_secret_by_name("env.OPENAI_API_KEY = 's3cr3t-value'")]
#[case::env_from("env.A = { from = 'MY_TOKEN' }")]
#[case::env_quotes("env.A = \"it's \\\"here\\\"\\nand there\"")]
#[case::labels("labels = { team = 'a b', hermes-task-id = 'other' }")]
#[case::forward("forward = [' A ', 'B', 'A']")]
#[case::persist("persist = true")]
#[case::keep("entrypoint = 'keep'")]
#[case::seccomp_engine("seccomp = 'engine-default'")]
#[case::seccomp_unconfined("seccomp = 'unconfined'")]
#[case::masks_engine("masks = 'engine-default'")]
#[case::runtime("runtime = 'runsc'")]
#[case::lease("lease = '2h'")]
#[case::lease_none("lease = 'none'")]
#[case::on_drift("on_drift = 'recreate'")]
#[case::extra_args("extra_args = ['--device', '/dev/kvm']")]
#[case::engine_socket("engine_socket = '/var/run/docker.sock'")]
#[case::image_digest("image = 'ghcr/x@sha256:00ff'")]
#[case::everything(
    "task = 't'\nprofile = 'p'\ncpus = 1\nmemory = '1g'\ndisk = '5g'\npids = 100\nshm = '128m'\n\
     network = 'none'\nuser = 'host'\nmount_cwd = true\npersist = true\nlease = '30m'\n\
     runtime = 'runc'\nenv.A = 'b'\nskills = ['~/s:/s']"
)]
fn a_spec_becomes(#[context] context: Context, #[case] toml: &str) {
    let name = context.description.unwrap();
    let text = format!("{toml}\n---\n{}", shown(&plan_of(toml)));
    insta::assert_snapshot!(name, text);
}

#[rstest]
#[case::s6(&["/init"])]
#[case::s6_with_wrapper(&["/init", "/opt/main"])]
#[case::tini(&["/usr/bin/tini", "--"])]
#[case::tini_by_name(&["tini", "-g", "--"])]
#[case::dumb_init(&["dumb-init"])]
#[case::catatonit(&["/usr/libexec/catatonit/catatonit", "--"])]
#[case::docker_init(&["/sbin/docker-init", "--"])]
#[case::another(&["/entrypoint.sh"])]
#[case::an_init_of_another_name(&["/usr/lib/init"])]
fn an_image_becomes(#[context] context: Context, #[case] entrypoint: &[&str]) {
    let image = ImageConfig {
        entrypoint: entrypoint.iter().map(|&word| word.to_owned()).collect(),
        ..image()
    };
    let name = context.description.unwrap();
    let mut text = String::new();
    for choice in ["auto", "keep"] {
        let spec = spec(&format!("entrypoint = '{choice}'")).unwrap();
        let plan = plan::plan(&spec, &image, &host()).unwrap();
        let run = &plan.tmpfs[0];
        writeln!(
            text,
            "{choice}: {:?} {:?} {:?} /run {}",
            plan.init, plan.entrypoint, plan.command, run.options
        )
        .unwrap();
    }
    insta::assert_snapshot!(format!("image_{name}"), text);
}

#[rstest]
#[case::no_agent(HostFacts { agent: AgentDelivery::None, ..host() })]
#[case::upload(HostFacts { agent: AgentDelivery::Upload, ..host() })]
#[case::no_limits(HostFacts {
    memory_limit: false, cpu_limit: false, pids_limit: false, seccomp: false, ..host()
})]
#[case::no_swap_limit(HostFacts { swap_limit: false, ..host() })]
#[case::one_processor(HostFacts { cpus: Some(1), ..host() })]
#[case::unknown_engine(HostFacts::default())]
fn a_host_becomes(#[context] context: Context, #[case] host: HostFacts) {
    let name = context.description.unwrap();
    let plan = plan::plan(&spec("").unwrap(), &image(), &host).unwrap();
    insta::assert_snapshot!(format!("host_{name}"), shown(&plan));
}

#[rstest]
#[case("memory = '1g'", HostFacts { memory_limit: false, ..host() }, "memory")]
#[case("pids = 9", HostFacts { pids_limit: false, ..host() }, "pids")]
#[case("cpus = 1", HostFacts { cpu_limit: false, ..host() }, "cpus")]
#[case("disk = '1g'", HostFacts { quota_works: Some(false), ..host() }, "disk")]
#[case("disk = '1g'", HostFacts { quota_works: None, ..host() }, "disk")]
fn a_limit_that_was_asked_for_is_enforced_or_refused(
    #[case] toml: &str,
    #[case] host: HostFacts,
    #[case] field: &str,
) {
    let refused = plan::plan(&spec(toml).unwrap(), &image(), &host).unwrap_err();
    assert_eq!(refused.as_slice()[0].field, field);
    let allowed = spec(&format!("{toml}\nallow_unenforced = true")).unwrap();
    let plan = plan::plan(&allowed, &image(), &host).unwrap();
    assert_eq!(
        (
            plan.unenforced[0].field.as_str(),
            plan.unenforced[0].explicit
        ),
        (field, true)
    );
}

#[test]
fn more_processors_than_there_are_and_runtimes_that_are_not_there_are_refused() {
    let spec = spec("cpus = 8\nruntime = 'kata'").unwrap();
    let problems = plan::plan(&spec, &image(), &host()).unwrap_err();
    let fields: Vec<&str> = problems.iter().map(|p| p.field.as_str()).collect();
    assert_eq!(fields, ["cpus", "runtime"]);
}

#[test]
fn extra_arguments_come_last_and_need_the_command_line() {
    let plan = plan_of("extra_args = ['--privileged']");
    let Rendering::NeedsCli(commands) = create(&plan, &inputs()) else {
        panic!("the API cannot take them");
    };
    let argv = &commands.steps[0].argv;
    let at = argv.iter().position(|arg| arg == "--privileged").unwrap();
    assert_eq!(argv[at + 1], "debian:trixie");
    assert_eq!(plan.labels()["talaria.modified"], "extra-args");
    assert!(matches!(create(&plan_of(""), &inputs()), Rendering::Api(_)));
}

#[test]
fn a_command_line_is_laid_over_a_file() {
    let file = SpecFile::from_toml("image = 'a'\npids = 5\nforward = ['A']\nenv.X = 1").unwrap();
    let over = SpecFile::from_toml("pids = 6\nforward = ['B']\nenv.Y = 2").unwrap();
    let spec = sandbox_core::SandboxSpec::try_from(file.merge(over), &caller()).unwrap();
    assert_eq!(spec.pids, sandbox_core::Limit::Set(6));
    assert_eq!((spec.forward.len(), spec.env.len()), (2, 2));
}

#[rstest]
#[case("extra_args = ['-e', 'DB_PASSWORD']")]
#[case("extra_args = ['-e', 'LANG=C', '--entrypoint=x=KEY=1', '--expose', '80']")]
fn an_argument_without_a_secret_is_taken(#[case] toml: &str) {
    assert!(plan_of(toml).is_modified());
}

#[test]
fn an_address_with_a_password_is_a_secret() {
    let plan = plan_of("env.DATABASE_URL = 'postgres://ann:s3cr3t-value@db/x'");
    assert!(!plan.to_json().contains("s3cr3t"), "{}", plan.to_json());
}
