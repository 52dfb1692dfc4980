//! Where things are in the image and in a running container.

/// The scandir of PID 1: root's alone.
pub(crate) const ROOT_SCANDIR: &str = "/run/s6/services";
/// The control FIFO of PID 1's s6-svscan.
pub(crate) const ROOT_CONTROL: &str = "/run/s6/services/.s6-svscan/control";
/// The scandir that belongs to the agent's user.
pub(crate) const AGENT_SCANDIR: &str = "/run/service";
/// The service in the root scandir that scans the agent's.
pub(crate) const AGENT_TREE: &str = "agent-tree";
/// What the agent's own tools look for to know that s6 supervises here.
pub(crate) const BASEDIR: &str = "/run/s6/basedir";
/// What the init knows of this run of the container.
pub(crate) const INIT_STATE: &str = "/run/s6/init";
/// The container's environment, a file for each variable.
pub(crate) const ENVIRONMENT: &str = "/run/s6/container_environment";
/// Hooks that run before everything else.
pub(crate) const HOOKS: &str = "/etc/cont-init.d";
/// Static services.
pub(crate) const STATIC_SERVICES: &str = "/etc/services.d";
/// Where s6-overlay keeps service definitions that this init does not read.
pub(crate) const S6_RC_SERVICES: &str = "/etc/s6-overlay/s6-rc.d";
/// The program that routes the user's arguments.
pub(crate) const MAIN_WRAPPER: &str = "/opt/hermes/docker/main-wrapper.sh";
/// The name that the wrapper had in images before it.
pub(crate) const ENTRYPOINT: &str = "/opt/hermes/docker/entrypoint.sh";
/// The init of those images.
pub(crate) const TINI: &str = "/usr/bin/tini";
/// The init.
pub(crate) const INIT: &str = "/init";
/// Where s6's programs are, by name.
pub(crate) const COMMANDS: &str = "/command";
/// Debian's own s6-svscanctl, behind the one in [`COMMANDS`].
pub(crate) const SVSCANCTL: &str = "/usr/bin/s6-svscanctl";
/// Where the agent lives unless `HERMES_HOME` says otherwise.
pub(crate) const DEFAULT_HOME: &str = "/opt/data";
/// What the image has for a new home.
pub(crate) const SEEDS: &str = "/etc/talaria/seed";
