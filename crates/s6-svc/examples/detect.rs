//! Tells whether this container is supervised by s6: `cargo run --example detect`.

use s6_svc::detect::Evidence;

fn main() {
    let found = Evidence::gather();
    println!(
        "{found:?}: {}",
        if found.is_s6() {
            "s6 supervises"
        } else {
            "no s6"
        }
    );
}
