//! `cargo xtask up` and `down`: an agent's container and a sandbox, to look at.

mod container;
mod gateway;
mod sandbox;

use std::path::Path;

use bollard::Docker;

use self::container::Found;
use self::gateway::{PROFILES, USER};
use self::sandbox::{Building, Shown};
use crate::engine::{self, EngineError, exec_ok};
use crate::image::{self, ImageError, Request, Target};
use crate::paths::Checkout;
use crate::process::ProcessError;
use crate::tree;

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpError {
    /// No engine, or it refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The image is not there and could not be built.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Someone else's container has the name.
    #[error("the container {name} was not made by `cargo xtask up`")]
    NotOurs {
        /// The name.
        name: String,
    },
    /// It ended on its own.
    #[error("the container {name} ended: {state}\n{logs}")]
    Ended {
        /// Its name.
        name: String,
        /// As the engine says.
        state: String,
        /// The end of its output.
        logs: String,
    },
    /// It did not become what it should be.
    #[error("{what} after {seconds} s; last seen: {last}")]
    TimedOut {
        /// The container.
        name: String,
        /// What is not so.
        what: &'static str,
        /// How long that was waited for.
        seconds: u64,
        /// The last state.
        last: String,
    },
    /// The command line could not be built.
    #[error("cannot build the command line")]
    Program(#[source] ProcessError),
    /// The command line failed; it says why.
    #[error("the sandbox failed")]
    Sandbox(#[source] ProcessError),
}

impl UpError {
    /// What a person can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Image(error) => error.hint(),
            Self::NotOurs { name } => Some(format!("docker rename {name} OTHER, or docker rm it")),
            Self::TimedOut { name, .. } => Some(format!("docker logs {name}; cargo xtask down")),
            Self::Ended { .. } => Some("cargo xtask down removes it".to_owned()),
            Self::Sandbox(_) => Some("talaria doctor looks at the engine".to_owned()),
            Self::Engine(_) | Self::Program(_) => None,
        }
    }
}

/// What is made, by name. Checkouts with tags of their own share an engine.
#[derive(Debug, PartialEq, Eq)]
struct Names {
    container: String,
    volume: String,
    /// The sandbox's task.
    task: String,
}

impl Names {
    fn of_tag(tag: &str) -> Self {
        let suffix = if tag == "dev" {
            String::new()
        } else {
            format!("-{tag}")
        };
        Self {
            container: format!("talaria-up{suffix}"),
            volume: format!("talaria-data{suffix}"),
            task: format!("talaria-up{suffix}"),
        }
    }
}

/// Starts what is not running, and shows it.
pub(crate) async fn up(checkout: &Checkout) -> Result<(), UpError> {
    let docker = engine::connect().await?;
    let request = Request::plain(Target::All);
    let names = Names::of_tag(&request.tag);
    let found = container::find(&docker, &names.container).await?;
    if found == Found::NotOurs {
        return Err(UpError::NotOurs {
            name: names.container,
        });
    }
    let program = Building::begin(checkout);
    // Both are built together: their steps are the same but for the last.
    let tag = image::name("hermes", &request);
    if !(image::exists(&docker, &image::name("base", &request)).await?
        && image::exists(&docker, &tag).await?)
    {
        image::build(checkout, &request, None).await?;
    }
    match found {
        Found::Running => anstream::eprintln!("{} is up already", names.container),
        Found::Stopped => container::start(&docker, &names.container).await?,
        Found::Nothing | Found::NotOurs => {
            container::create(&docker, &names, &tag).await?;
            container::start(&docker, &names.container).await?;
        }
    }
    gateway::supervised(&docker, &names.container).await?;
    for profile in &PROFILES {
        profile.start(&docker, &names.container).await?;
    }
    for profile in &PROFILES {
        profile.wait(&docker, &names.container).await?;
    }
    let base = image::provide_base(&docker, checkout).await?;
    let ran = sandbox::run(program, checkout, &base, &names.task)?;
    show(&docker, &names, &ran).await
}

async fn show(docker: &Docker, names: &Names, ran: &Shown) -> Result<(), UpError> {
    let Names {
        container, task, ..
    } = names;
    let list = ["ps", "-eo", "pid=,ppid=,user:12=,args="];
    let listing = exec_ok(docker, container, "root", &list).await?;
    let status = exec_ok(docker, container, USER, &["talaria", "gateway", "list"]).await?;
    anstream::println!("\nThe agent's container, {container}:\n");
    anstream::print!("{}", tree::draw(&listing, 88));
    anstream::println!("\nIts gateways, by docker exec {container} talaria gateway list:\n");
    anstream::print!("{status}");
    anstream::println!(
        "\nA sandbox beside it, by {}:\n\n{}",
        ran.command,
        ran.output.trim_end()
    );
    anstream::print!("{}", next(container, task, &ran.program));
    Ok(())
}

fn next(container: &str, task: &str, program: &Path) -> String {
    let program = program.display();
    let docker = format!("docker exec {container} talaria");
    let rows = [
        (
            format!("docker exec -it {container} hermes"),
            "talk to the agent",
        ),
        (format!("{docker} status"), "what runs"),
        (
            format!("{docker} gateway stop -p coder"),
            "and `start` it again",
        ),
        (
            format!("docker restart {container}"),
            "what ran comes back, what was stopped stays down",
        ),
        (
            format!("{program} sandbox shell {task}"),
            "look around in the sandbox",
        ),
        (format!("{program} sandbox verify {task}"), "try its walls"),
        (
            format!("{program} doctor"),
            "what this host has for sandboxes",
        ),
        (
            "cargo xtask down --volume".to_owned(),
            "take it all away, the profiles too",
        ),
    ];
    let width = rows.iter().map(|(command, _)| command.len()).max();
    let width = width.unwrap_or(0);
    let lines = rows.map(|(command, what)| format!("  {command:width$}  {what}\n"));
    format!("\nTry next:\n{}", lines.concat())
}

/// Removes the container and the sandbox, and the container's volume if asked.
pub(crate) async fn down(checkout: &Checkout, volume: bool) -> Result<(), UpError> {
    let docker = engine::connect().await?;
    let names = Names::of_tag(&Request::plain(Target::All).tag);
    match container::find(&docker, &names.container).await? {
        Found::NotOurs => {
            return Err(UpError::NotOurs {
                name: names.container,
            });
        }
        Found::Nothing => anstream::eprintln!("{} is not there", names.container),
        Found::Stopped | Found::Running => container::remove(&docker, &names.container).await?,
    }
    sandbox::remove(&docker, checkout, &names.task).await?;
    if volume {
        container::remove_volume(&docker, &names.volume).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("dev", "talaria-up", "talaria-data")]
    #[case("mine", "talaria-up-mine", "talaria-data-mine")]
    fn a_tag_of_its_own_has_names_of_its_own(
        #[case] tag: &str,
        #[case] container: &str,
        #[case] volume: &str,
    ) {
        let names = Names::of_tag(tag);
        assert_eq!(
            (
                names.container.as_str(),
                names.volume.as_str(),
                names.task.as_str()
            ),
            (container, volume, container)
        );
    }

    #[test]
    fn what_to_try_next_lines_up() {
        let text = next(
            "talaria-up",
            "talaria-up",
            Path::new("target/debug/talaria"),
        );
        insta::assert_snapshot!(text, @r"
        Try next:
          docker exec -it talaria-up hermes                     talk to the agent
          docker exec talaria-up talaria status                 what runs
          docker exec talaria-up talaria gateway stop -p coder  and `start` it again
          docker restart talaria-up                             what ran comes back, what was stopped stays down
          target/debug/talaria sandbox shell talaria-up         look around in the sandbox
          target/debug/talaria sandbox verify talaria-up        try its walls
          target/debug/talaria doctor                           what this host has for sandboxes
          cargo xtask down --volume                             take it all away, the profiles too
        ");
    }
}
