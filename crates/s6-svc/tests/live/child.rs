//! What runs as a process of its own: to be killed, to be somebody else, to be many.

use std::process::{Command, Output};
use std::time::Duration;

use s6_svc::skeleton::Identity;
use s6_svc::{Deadline, Definition, Registration, Scandir, Unregistration};

use crate::support::{logger, name, sleeper};

/// A call, and as whom to make it.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) role: &'a str,
    pub(crate) scandir: &'a Scandir,
    pub(crate) argument: &'a str,
    /// Before which step the process is killed.
    pub(crate) fault: Option<usize>,
    pub(crate) user: Option<Identity>,
}

impl Call<'_> {
    pub(crate) fn command(&self) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([
                "--exact",
                "child::main",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env("ROLE", self.role)
            .env("SCANDIR", self.scandir.path())
            .env("ARGUMENT", self.argument)
            .stdin(std::process::Stdio::null());
        if let Some(fault) = self.fault {
            command.env("FAULT", fault.to_string());
        }
        if let Some(Identity { uid, gid }) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    pub(crate) fn run(&self) -> Output {
        self.command().output().unwrap()
    }
}

/// The service that children register.
pub(crate) fn definition() -> Definition {
    sleeper()
        .finish(s6_svc::Program::Script("#!/bin/sh\nexit 0\n".to_owned()))
        .variable("COLOUR", "blue")
        .unwrap()
        .log(logger())
        .unwrap()
}

#[test]
#[ignore = "a process that other tests start"]
fn main() {
    let Ok(role) = std::env::var("ROLE") else {
        return;
    };
    let scandir = Scandir::new(std::env::var("SCANDIR").unwrap()).unwrap();
    let argument = std::env::var("ARGUMENT").unwrap();
    let mut fault = std::env::var("FAULT")
        .ok()
        .map(|fault| fault.parse::<usize>().unwrap());
    let killer = |_: &s6_svc::Step| match &mut fault {
        None => {}
        Some(0) => {
            let me = rustix::process::getpid();
            rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
        }
        Some(left) => *left -= 1,
    };
    let deadline = Deadline::after(Duration::from_secs(25));
    match role.as_str() {
        "register" => {
            let (name, definition) = (name(&argument), definition());
            let call = Registration::new(&scandir, &name, &definition);
            let result = call.deadline(deadline).on_step(killer).execute();
            assert!(result.is_ok(), "{result:?}");
        }
        "unregister" => {
            let name = name(&argument);
            let call = Unregistration::new(&scandir, &name);
            let result = call.deadline(deadline).on_step(killer).execute();
            assert!(result.is_ok(), "{result:?}");
        }
        "storm" => crate::storm::child(&scandir, &argument),
        "life" => crate::unprivileged::life(&scandir),
        "denied" => crate::unprivileged::denied(&scandir, &argument),
        other => panic!("no role {other}"),
    }
}
