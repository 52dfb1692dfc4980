//! The one table of symbolic links from the contract's names to the program behind them.

use super::Init;
use super::context::Tree;

/// Our multi-call program; it tells what it is asked for from the name it is called by.
const PROGRAM: &str = "/usr/libexec/talaria/talaria-boot";

/// In every image, whatever its init.
const SHARED: &[&str] = &[
    "/etc/cont-init.d/01-hermes-setup",
    "/etc/cont-init.d/015-supervise-perms",
    "/etc/cont-init.d/02-reconcile-profiles",
    "/opt/hermes/docker/entrypoint.sh",
    "/opt/hermes/docker/main-wrapper.sh",
    "/usr/bin/tini",
    "/usr/libexec/talaria/agent-tree",
    "/usr/libexec/talaria/dashboard-finish",
    "/usr/libexec/talaria/dashboard-log",
    "/usr/libexec/talaria/dashboard-run",
    "/usr/libexec/talaria/gateway-finish",
    "/usr/libexec/talaria/gateway-log",
    "/usr/libexec/talaria/gateway-run",
    "/usr/libexec/talaria/svscan-finish",
    "/usr/libexec/talaria/svscan-signal",
];

/// Where our own `/init` is the init; s6-overlay brings its own of each.
const INIT_DEBIAN: &[&str] = &["/command/s6-svscanctl", "/command/with-contenv", "/init"];

/// In the agent's image: a `hermes` that drops to the user `hermes` first.
const HERMES: &[&str] = &["/opt/hermes/bin/hermes"];

fn tree(names: &[&str]) -> Tree {
    let mut tree = Tree::new();
    for name in names {
        tree.link(name, PROGRAM);
    }
    tree
}

/// Links for the root file system of every image.
pub(crate) fn shared() -> Tree {
    tree(SHARED)
}

/// Links for the agent's image alone.
pub(crate) fn hermes() -> Tree {
    tree(HERMES)
}

/// Links that make our program the container's init, if it is.
pub(crate) fn init(init: &Init) -> Option<Tree> {
    match init {
        Init::Debian => Some(tree(INIT_DEBIAN)),
        Init::S6Overlay(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_name_is_in_the_table_twice() {
        let all: Vec<_> = [SHARED, INIT_DEBIAN, HERMES].concat();
        let distinct: BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn only_our_own_init_takes_the_names_that_s6_overlay_brings() {
        assert!(init(&Init::Debian).is_some());
        assert!(init(&Init::S6Overlay("dir".into())).is_none());
    }
}
