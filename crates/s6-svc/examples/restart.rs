//! Restarts a service and waits until it is back: `cargo run --example restart /run/service/web`.

use std::time::Duration;

use s6_svc::{Command, Deadline, Goal, ServiceDir};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os()
        .nth(1)
        .ok_or("name a service directory")?;
    let service = ServiceDir::new(path)?.following_links();
    let goal = if service.notifies_readiness()? {
        Goal::RestartedAndReady
    } else {
        Goal::Restarted
    };
    let deadline = Deadline::after(Duration::from_secs(10));
    service.control_and_wait(&[Command::Restart], goal, deadline)?;
    println!("{}", service.status()?.phase());
    Ok(())
}
