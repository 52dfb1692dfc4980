//! Tells the state of services: `cargo run --example stat /run/service/web`.

use s6_svc::{Field, Report, ServiceDir, StatusError, Tai64n};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args_os().skip(1) {
        let service = ServiceDir::new(path)?.following_links();
        match Report::of(&service) {
            Ok(report) => {
                let pid = report.field(Field::Pid, Tai64n::now());
                println!(
                    "{}: {}, pid {pid}",
                    service.path().display(),
                    report.status.phase()
                );
            }
            Err(StatusError::NotSupervised { path }) => {
                println!("{}: nobody supervises it", path.display());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
