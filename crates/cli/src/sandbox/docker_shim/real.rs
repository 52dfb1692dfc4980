//! The real docker or podman.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{self, Command};

use sandbox_engine::find::find_binary;

use crate::exit::Outcome;
use crate::sandbox::caller;

/// Says to a program that this process ran this shim already.
const MARK: &str = "TALARIA_DOCKER_SHIM";

/// Becomes the real program, or gives how this one ends where that cannot be.
pub(super) fn run(words: &[OsString]) -> Outcome {
    let id = process::id().to_string();
    if env::var(MARK).is_ok_and(|mark| mark == id) {
        // A script may stand between, under the name that is looked for.
        anstream::eprintln!(
            "talaria: docker-shim: the docker command that was found is this shim again"
        );
        anstream::eprintln!("hint: put a link to talaria in the script's place");
        return Outcome::Own(super::REFUSED);
    }
    let Some(binary) = find_binary(&caller::surroundings()) else {
        anstream::eprintln!(
            "talaria: docker-shim: this is left to the real docker, and there is none"
        );
        anstream::eprintln!("hint: install docker-cli or podman, and have it on PATH");
        return Outcome::Own(super::REFUSED);
    };
    let mut command = Command::new(&binary.path);
    if let Some(engine) = env::var_os("TALARIA_ENGINE").filter(|engine| !engine.is_empty()) {
        command
            .env("DOCKER_HOST", engine)
            .env_remove("DOCKER_CONTEXT");
    }
    let error = command.args(words).env(MARK, id).exec();
    anstream::eprintln!("talaria: docker-shim: {}: {error}", binary.path.display());
    Outcome::Own(super::REFUSED)
}
