//! Registers a service, uses it and unregisters it, telling each step:
//! `cargo run --example register /run/service`.

use std::time::Duration;

use s6_svc::{
    Command, Deadline, Definition, Goal, Program, Registration, Scandir, ServiceName,
    Unregistration,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os()
        .nth(1)
        .unwrap_or_else(|| "/run/service".into());
    let scandir = Scandir::new(path)?;
    let name = ServiceName::new("example")?;
    let script = |text: &str| Program::Script(format!("#!/bin/sh\n{text}\n"));
    let definition = Definition::new(script("echo >&3; exec sleep 1000"))
        .finish(script("echo ended with \"$1\""))
        .notification_fd(3)?
        .log(Definition::new(script("exec cat >/dev/null")))?
        .down();

    let registered = Registration::new(&scandir, &name, &definition)
        .on_step(|step| println!("  {step}"))
        .execute()?;
    println!("{name}: {registered:?}");

    let service = scandir.service(&name);
    let deadline = Deadline::after(Duration::from_secs(10));
    service.control_and_wait(&[Command::Up], Goal::Ready, deadline)?;
    println!("{name}: {}", service.status()?.phase());

    let unregistered = Unregistration::new(&scandir, &name)
        .on_step(|step| println!("  {step}"))
        .execute()?;
    println!("{name}: {unregistered:?}");
    Ok(())
}
