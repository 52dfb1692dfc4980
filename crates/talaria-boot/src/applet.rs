//! Which of the program's parts a name means.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use nix::sys::signal::Signal;

use crate::error::BootError;

/// A part of the program, by the names that lead to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applet {
    AgentTree,
    DashboardFinish,
    DashboardLog,
    DashboardRun,
    Entrypoint,
    GatewayFinish,
    GatewayLog,
    GatewayRun,
    HermesShim,
    Init,
    MainWrapper,
    Reconcile,
    Setup,
    SupervisePerms,
    SvscanFinish,
    SvscanSignal(Signal),
    Svscanctl,
    Tini,
    WithContenv,
}

impl Applet {
    /// The applet that a command line means, and the applet's own arguments.
    ///
    /// s6 starts programs as `./run` and `finish`: in those, what counts is what
    /// the link of that name in the working directory points to. Under its own
    /// name the program takes the applet's as first argument.
    pub(crate) fn of(args: &[OsString]) -> Result<(Self, &[OsString]), BootError> {
        let (program, rest) = args.split_first().ok_or(BootError::NoArguments)?;
        let name = base_name(program);
        if let Some(applet) = Self::named(&name) {
            return Ok((applet, rest));
        }
        if name == "run" || name == "finish" {
            let target = std::fs::read_link(Path::new(program))
                .or_else(|_| std::fs::read_link(Path::new(".").join(&name)));
            if let Some(applet) = target
                .ok()
                .and_then(|to| Self::named(&base_name(to.as_os_str())))
            {
                return Ok((applet, rest));
            }
        }
        match rest.split_first() {
            Some((applet, rest)) if name == "talaria-boot" => Self::named(&base_name(applet))
                .map(|applet| (applet, rest))
                .ok_or_else(|| BootError::UnknownApplet(applet.to_string_lossy().into_owned())),
            _ => Err(BootError::UnknownApplet(name)),
        }
    }

    /// The applet that a file of this name is.
    pub(crate) fn of_name(name: &OsStr) -> Option<Self> {
        Self::named(name.to_str()?)
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "init" => Self::Init,
            "main-wrapper.sh" => Self::MainWrapper,
            "entrypoint.sh" => Self::Entrypoint,
            "tini" => Self::Tini,
            "with-contenv" => Self::WithContenv,
            "s6-svscanctl" => Self::Svscanctl,
            "svscan-finish" | "crash" => Self::SvscanFinish,
            "agent-tree" => Self::AgentTree,
            "dashboard-run" => Self::DashboardRun,
            "dashboard-finish" => Self::DashboardFinish,
            "dashboard-log" => Self::DashboardLog,
            "gateway-run" => Self::GatewayRun,
            "gateway-finish" => Self::GatewayFinish,
            "gateway-log" => Self::GatewayLog,
            "hermes" => Self::HermesShim,
            "01-hermes-setup" => Self::Setup,
            "015-supervise-perms" => Self::SupervisePerms,
            "02-reconcile-profiles" => Self::Reconcile,
            signal if signal.starts_with("SIG") => Self::SvscanSignal(signal.parse().ok()?),
            _ => return None,
        })
    }
}

fn base_name(path: &OsStr) -> String {
    Path::new(path)
        .file_name()
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(&["/init", "a"], Applet::Init, 1)]
    #[case(&["/opt/hermes/docker/main-wrapper.sh", "a", "b"], Applet::MainWrapper, 2)]
    #[case(&[".s6-svscan/SIGUSR1"], Applet::SvscanSignal(Signal::SIGUSR1), 0)]
    #[case(&["talaria-boot", "with-contenv", "env"], Applet::WithContenv, 1)]
    fn a_name_means_its_applet(#[case] args: &[&str], #[case] applet: Applet, #[case] rest: usize) {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let (found, left) = Applet::of(&args).unwrap();
        assert_eq!((found, left.len()), (applet, rest));
    }

    #[test]
    fn a_slot_program_is_known_by_what_its_link_points_to() {
        let slot = tempfile::tempdir().unwrap();
        let run = slot.path().join("run");
        std::os::unix::fs::symlink("/usr/libexec/talaria/gateway-log", &run).unwrap();
        let args = [run.into_os_string(), OsString::from("gateway-coder/log")];
        assert_eq!(Applet::of(&args).unwrap().0, Applet::GatewayLog);
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let args = [OsString::from("talaria-boot"), OsString::from("nonsense")];
        assert_eq!(
            Applet::of(&args).unwrap_err().to_string(),
            "no part of talaria-boot is called nonsense"
        );
    }
}
