//! `talaria sandbox doctor`: what this host's engine has for sandboxes, and what it lacks.

use super::args::Doctor;
use super::caller;
use super::connect;
use super::failure::{Failure, Result};
use super::print::to_json;
use crate::doctor::finding::{Finding, State};
use crate::doctor::print;
use crate::exit::Outcome;
use sandbox_core::Network;
use sandbox_engine::find::find_binary;
use sandbox_engine::{Engine, Flavour};

/// Looks at the engine that was named, or at the one that is found.
pub(crate) async fn findings(named: Option<&str>) -> Vec<Finding> {
    let mut found = vec![program()];
    let engine = match connect(named).await {
        Ok(engine) => engine,
        Err(failure) => {
            let hint = failure.hint().unwrap_or_else(|| ENGINE_HINT.to_owned());
            found.push(Finding::bad("engine", failure.to_string(), hint));
            return found;
        }
    };
    let at = engine.found_at();
    let detail = format!(
        "{:?} {} with API {}, at {} ({})",
        engine.flavour(),
        engine.version(),
        engine.api(),
        at.address,
        at.origin
    );
    found.push(Finding::good("engine", detail));
    match look(&engine).await {
        Ok(more) => found.extend(more),
        Err(failure) => {
            let hint = failure.hint().unwrap_or_else(|| ENGINE_HINT.to_owned());
            found.push(Finding::bad("engine facts", failure.to_string(), hint));
        }
    }
    found
}

/// What to do where nothing better is known.
const ENGINE_HINT: &str = "is the engine well? docker info asks it the same";

fn program() -> Finding {
    let name = "command line";
    match find_binary(&caller::surroundings()) {
        Some(binary) => Finding::good(name, binary.path.display().to_string()),
        None => Finding::note(
            name,
            "neither docker nor podman was found",
            "only extra arguments and what `run --print argv` prints need it: install docker-cli \
             or podman for those",
        ),
    }
}

async fn look(engine: &Engine) -> Result<Vec<Finding>> {
    let info = engine.info().await?;
    let limit = |name, can: Option<bool>| match can {
        Some(true) => Finding::good(name, "can be limited"),
        Some(false) => Finding::note(
            name,
            "cannot be limited on this host",
            "switch the kernel's cgroup support for it on (cgroup_enable=memory swapaccount=1), or \
             run with --allow-unenforced",
        ),
        None => Finding::note(
            name,
            "the engine does not say whether it can be limited",
            "docker run --memory, --cpus or --pids-limit tries it",
        ),
    };
    let mut found = vec![
        limit("memory", info.memory_limit),
        limit("swap", info.swap_limit),
        limit("processors", info.cpu_cfs_quota),
        limit("processes", info.pids_limit),
    ];
    let options = info.security_options.iter().flatten();
    let seccomp = options.clone().any(|option| option.contains("seccomp"));
    found.push(if seccomp {
        Finding::good("seccomp", "profiles are applied")
    } else {
        Finding::bad(
            "seccomp",
            "the engine applies no profiles: sandboxes may make every system call",
            "use a kernel with CONFIG_SECCOMP_FILTER and an engine that is built with seccomp",
        )
    });
    let driver = info.driver.as_deref().unwrap_or("unknown");
    found.push(Finding::good("storage", driver));
    found.push(network(engine).await?);
    Ok(found)
}

async fn network(engine: &Engine) -> Result<Finding> {
    let name = "network";
    if !engine.has_network(Network::ISOLATED).await? {
        return Ok(Finding::good(name, "made with the first sandbox"));
    }
    let apart = engine.network().await?.apart;
    Ok(if apart {
        Finding::good(name, "sandboxes do not reach each other on it")
    } else if engine.flavour() == Flavour::Podman {
        Finding::note(
            name,
            "Podman does not keep sandboxes on one network apart: they reach each other's ports",
            "run with --network none, or --network named:NAME on a network of their own, those that \
             nobody is to reach",
        )
    } else {
        Finding::bad(
            name,
            "it was not made by talaria: sandboxes reach each other on it",
            format!("docker network rm {}", Network::ISOLATED),
        )
    })
}

/// The same for `talaria doctor`, from a thread without a runtime. Nothing where this is the inside
/// of a container and no engine is to be reached from it.
pub(crate) fn findings_here(inside: bool) -> Vec<Finding> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let found = match runtime {
        Ok(runtime) => runtime.block_on(findings(None)),
        Err(error) => {
            let hint = "the system has no descriptors or memory left: end something";
            return vec![Finding::bad("engine", error.to_string(), hint)];
        }
    };
    let reached = found
        .iter()
        .any(|one| one.name == "engine" && one.state == State::Good);
    if inside && !reached {
        return Vec::new();
    }
    found
}

pub(super) async fn run(named: Option<&str>, doctor: &Doctor) -> Result<Outcome> {
    let found = findings(named).await;
    if doctor.json {
        to_json(&found)?;
    } else {
        print(&found)?;
    }
    let bad = |one: &&Finding| one.state == State::Bad;
    match found.iter().find(bad) {
        None => Ok(Outcome::Done),
        Some(one) if one.name == "engine" => Ok(Outcome::Unreachable),
        Some(_) => Err(Failure::Partly),
    }
}
