//! Fixtures and tests that prove container images on a real engine.
//!
//! A test asks for a [`Lab`] on an image, describes containers with [`Spec`],
//! starts them, and looks at what became of them:
//!
//! ```no_run
//! use std::time::Duration;
//! use docker_harness::on_base;
//!
//! // In a real test this is the body of a `#[test]` function.
//! on_base(async |lab| {
//!     let ended = lab.run(lab.container().command(["sh", "-c", "exit 7"]), Duration::from_secs(30)).await?;
//!     assert_eq!(ended.code, 7);
//!     Ok(())
//! });
//! ```
//!
//! * Commands run inside a container as the unprivileged user `hermes`, unless the call says
//!   root: [`Container::exec`] and [`Container::exec_root`].
//! * Waiting is level-triggered and bounded, and a wait that fails tells the last state seen:
//!   [`wait_for`].
//! * Whatever a test creates carries the labels of [`labels`], is removed when its lab is
//!   dropped, and is swept by the next run if the process was killed: [`sweep`].
//! * Where no engine answers, tests skip loudly and are counted; with
//!   `TALARIA_REQUIRE_ENGINE=1` they fail instead.
//! * `TALARIA_TAG` names images of another tag than `dev`, so that checkouts can share an engine.
//! * `TALARIA_TEST_IMAGE` points the same tests at another image; what it does differently by
//!   design is a table in [`variant`].

#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod attach;
pub mod container;
pub mod engine;
pub mod error;
pub mod exec;
pub mod image;
pub mod lab;
pub mod labels;
pub mod processes;
pub mod spec;
pub mod sweep;
pub mod terminal;
pub mod tree;
pub mod variant;
mod wait;

pub use attach::Attached;
pub use container::{Container, Ended, Output, State};
pub use engine::Engine;
pub use error::{EngineError, ImageError, WaitError};
pub use exec::{Executed, Identity};
pub use lab::{Failure, Lab, TestResult, on_base, on_hermes, on_image};
pub use processes::{Process, Processes};
pub use spec::{Mounted, Size, Spec};
pub use terminal::Terminal;
pub use tree::Tree;
pub use wait::{Level, wait_for};
