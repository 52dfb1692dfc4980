//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::bench;
use crate::checks;
use crate::error::Error;
use crate::image::{self, ImageError, Init, Request, Suite, Target, With, lock};
use crate::paths::Checkout;
use crate::up;

/// Build, run and test Talaria from a checkout.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 5 no container engine answers.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build talaria-base:dev and talaria-hermes:dev
    Image(ImageArgs),
    /// Start an agent container with supervised gateways, run a command in a sandbox, and show both
    Up,
    /// Remove the container and the sandbox that `up` started
    Down {
        /// Remove the container's volume too: profiles, sessions, everything
        #[arg(long)]
        volume: bool,
    },
    /// Build the images and run every test
    Test {
        /// For `cargo test`
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Run the long versions of the tests: other releases of s6, minutes of load, hundreds of kills
    Soak {
        /// For `cargo test`
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Measure Talaria beside what people use today
    Bench(bench::Options),
    /// Everything that a change has to pass: formatting, lints, documentation, tests
    Ci,
    /// Make the image of another Debian suite with its s6, which `soak` asks
    S6Image {
        /// The suite
        #[arg(value_enum)]
        suite: Suite,
    },
    /// Resolve image/hermes.in into image/hermes.lock
    Lock,
}

#[derive(Debug, Args)]
struct ImageArgs {
    /// Which images
    #[arg(value_enum, default_value = "all")]
    target: Target,
    /// The container's init: `debian`, or `s6-overlay=DIR` with the release archives in DIR
    #[arg(long, default_value = "debian")]
    init: Init,
    /// The tag of the images' names
    #[arg(long, env = image::TAG, default_value = "dev")]
    tag: String,
    /// Checksums of other s6-overlay archives than 3.2.3.0's, as sha256sum writes them
    #[arg(long, value_name = "FILE")]
    init_checksums: Option<PathBuf>,
    /// Build every step again, over a new base image where it is made here
    #[arg(long)]
    no_cache: bool,
    /// Add programs to the agent's image
    #[arg(long, value_enum, value_delimiter = ',')]
    with: Vec<With>,
    /// Show what would be done
    #[arg(long)]
    print_plan: bool,
    /// Show it as JSON
    #[arg(long, requires = "print_plan")]
    json: bool,
}

impl Cli {
    /// Does what was asked.
    pub(crate) fn run(self) -> Result<(), Error> {
        let checkout = Checkout::find();
        match self.command {
            Command::Image(args) => args.run(&checkout),
            Command::Up => block_on(up::up(&checkout)),
            Command::Down { volume } => block_on(up::down(&checkout, volume)),
            Command::Test { args } => checks::test(&checkout, &args),
            Command::Soak { args } => checks::soak(&checkout, &args),
            Command::Bench(options) => block_on(bench::run(&checkout, options)),
            Command::Ci => checks::ci(&checkout),
            Command::S6Image { suite } => block_on(image::build_s6(&checkout, suite)),
            Command::Lock => block_on(lock::refresh(&checkout)),
        }
    }
}

impl ImageArgs {
    fn run(self, checkout: &Checkout) -> Result<(), Error> {
        let request = Request {
            target: self.target,
            init: self.init,
            tag: self.tag,
            with: self.with.into_iter().collect(),
            no_cache: self.no_cache,
        };
        if self.print_plan {
            let plan = image::plan(checkout, &request)?;
            if self.json {
                anstream::println!("{}", serde_json::to_string_pretty(&plan)?);
            } else {
                anstream::print!("{plan}");
            }
            return Ok(());
        }
        block_on(image::build(
            checkout,
            &request,
            self.init_checksums.as_deref(),
        ))
    }
}

/// Both images as they are by default, for the commands that need them.
pub(crate) fn build_images(checkout: &Checkout) -> Result<(), Error> {
    block_on(image::build(checkout, &Request::plain(Target::All), None))
}

fn block_on<E: Into<Error>>(work: impl Future<Output = Result<(), E>>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::from(ImageError::Runtime(source)))?;
    runtime.block_on(work).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
