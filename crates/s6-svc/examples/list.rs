//! Lists the services of a scandir: `cargo run --example list /run/service`.

use s6_svc::Scandir;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os()
        .nth(1)
        .unwrap_or_else(|| "/run/service".into());
    let scandir = Scandir::new(path)?;
    println!("scanned: {}", scandir.is_scanned()?);
    for entry in scandir.entries()? {
        let service = entry.service().clone().following_links();
        let logged = service.log().is_supervised()?;
        println!(
            "{}: supervised {}, with a logger {logged}",
            entry.name().display(),
            service.is_supervised()?
        );
    }
    Ok(())
}
