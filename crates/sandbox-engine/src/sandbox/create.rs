//! Creating a container, and what it needs before.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptionsBuilder;
use sandbox_core::mount::Role;
use sandbox_core::render::Rendering;
use sandbox_core::render::body::CreateBody;
use sandbox_core::{ContainerPlan, Flavour, Network, SandboxSpec, User};

use super::SandboxError;
use crate::command_line::CommandLineError;
use crate::connect::Engine;
use crate::error::{Fault, RequestError, tell};

impl Engine {
    /// Creates the container, and gives its id; nothing where there is one of that name.
    pub(super) async fn make(
        &self,
        plan: &ContainerPlan,
        name: &str,
    ) -> Result<Option<String>, SandboxError> {
        let inputs = self.render_inputs(plan);
        let unmade = |source| SandboxError::CommandLine {
            name: name.to_owned(),
            source,
        };
        let rendered = sandbox_core::render::create(plan, &inputs);
        let ours = matches!(plan.seccomp, sandbox_core::Seccomp::Talaria { .. });
        let by_path =
            inputs.flavour == Flavour::Podman || matches!(rendered, Rendering::NeedsCli(_));
        if ours && by_path {
            self.keep_profile(&inputs).map_err(unmade)?;
            let binary = self.tools.command_line.as_ref();
            if matches!(rendered, Rendering::NeedsCli(_))
                && inputs.flavour == Flavour::Podman
                && binary.is_some_and(|binary| !binary.is_podman())
            {
                return Err(unmade(CommandLineError::NotPodmans));
            }
        }
        let commands = match rendered {
            Rendering::Api(rendered) => {
                let body = body(*rendered)?;
                let named = CreateContainerOptionsBuilder::new().name(name).build();
                let created = self.docker.create_container(Some(named), body);
                return match tell(created).await {
                    Ok(created) => Ok(Some(created.id)),
                    Err(fault) if fault.is_conflict() => Ok(None),
                    Err(fault) => {
                        let (name, fault) = (name.to_owned(), Box::new(fault));
                        Err(SandboxError::Create { name, fault })
                    }
                };
            }
            Rendering::NeedsCli(commands) => commands,
        };
        // What follows the first, the API does as well.
        let Some(create) = commands.steps.first() else {
            return Ok(None);
        };
        match self.run_step(create).await {
            Ok(id) => match self.look(name).await {
                Ok(found) if found.id.as_deref() == Some(id.as_str()) => Ok(Some(id)),
                // It may be another's by now, who removed this one.
                Ok(_) => Ok(None),
                Err(error) if error.fault.is_not_found() => {
                    // Nobody would find it again.
                    if self.remove(&id, name).await? {
                        return Err(unmade(CommandLineError::Renamed));
                    }
                    Ok(None)
                }
                Err(error) => Err(error.into()),
            },
            Err(error @ CommandLineError::Refused { .. }) => match self.look(name).await {
                Ok(_) => Ok(None),
                Err(_) => Err(unmade(error)),
            },
            Err(error) => Err(unmade(error)),
        }
    }

    pub(super) async fn prepare_network(&self, spec: &SandboxSpec) -> Result<(), SandboxError> {
        match &spec.network {
            Network::None => {}
            Network::Isolated => {
                self.network().await?;
            }
            Network::Named(network) => {
                if !self.has_network(network).await? {
                    let network = network.clone();
                    return Err(SandboxError::NoNetwork { network });
                }
            }
        }
        Ok(())
    }
}

/// Makes the directories that outlive the container; an engine does not.
pub(super) fn prepare_directories(spec: &SandboxSpec) -> Result<(), SandboxError> {
    for mount in &spec.mounts {
        if mount.role != Role::Persistent {
            continue;
        }
        let path = Path::new(mount.source.as_str());
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        let made = made.and_then(|()| match spec.user {
            User::Ids { uid, gid } if rustix::process::getuid().is_root() => {
                // Only the directory itself: what is in it has been the sandbox's.
                std::os::unix::fs::lchown(path, Some(uid), gid)
            }
            _ => Ok(()),
        });
        made.map_err(|source| SandboxError::Directory {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(())
}

/// The engine client's own type for what the core has rendered.
fn body(rendered: CreateBody) -> Result<ContainerCreateBody, SandboxError> {
    let value = serde_json::to_value(rendered).and_then(serde_json::from_value);
    value.map_err(|err| {
        let source = bollard::errors::Error::JsonSerdeError { err };
        let fault = Fault::Garbled { source };
        RequestError::new("put the plan into the engine's words", fault).into()
    })
}
