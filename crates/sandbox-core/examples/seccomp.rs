//! Prints the seccomp profile of a sandbox, as `docker run --security-opt seccomp=FILE` reads it.
//!
//! `seccomp [CAPABILITY…]`

use sandbox_core::seccomp::{SeccompInput, profile};

fn main() {
    let input = SeccompInput::new(std::env::args().skip(1));
    println!("{}", profile(&input).to_json());
}
