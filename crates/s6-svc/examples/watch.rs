//! Prints what happens to services: `cargo run --example watch /run/service/web …`.

use s6_svc::{Deadline, Event, ServiceDir, Watch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let services = std::env::args_os()
        .skip(1)
        .map(ServiceDir::new)
        .collect::<Result<Vec<_>, _>>()?;
    let paths: Vec<_> = services.iter().map(ServiceDir::path).collect();
    let mut watch = Watch::new(services)?;
    loop {
        let (index, event) = watch.next_event(Deadline::NEVER)?;
        println!("{}: {event:?}", paths[index].display());
        if event == Event::SupervisorExit {
            return Ok(());
        }
    }
}
