//! s6 spoken natively: register, control and watch supervised services, as root or not, without
//! running a subprocess.
//!
//! [s6](https://skarnet.org/software/s6/) is a process supervisor that many containers run as their
//! first process. Its own interface is a set of small programs; this crate speaks the formats
//! beneath them, those of s6 2.11 to 2.15, which are files, FIFOs and locks. It is synchronous, has
//! no `unsafe` code, reads no environment, logs nothing, and its tests ask it and s6's own programs
//! the same questions at random moments of a service's life.
//!
//! # The model
//!
//! ```text
//! /run/service/                 a scandir: s6-svscan runs here, one s6-supervise for each slot
//! ├─ .s6-svscan/control         s6-svscan's FIFO: rescan, prune, terminate …
//! ├─ .s6-svscan/lock            held for as long as it runs
//! └─ web/                       a service directory: s6-supervise runs here
//!    ├─ run  finish             what is run, and what runs each time after it has ended
//!    ├─ down                    if it is there, the service is not started by itself
//!    ├─ notification-fd …       settings, one file each
//!    ├─ event/                  a fifodir: who wants to know of events makes a FIFO here
//!    ├─ supervise/              s6-supervise's own
//!    │  ├─ control              its FIFO: up, down, restart, signals …
//!    │  ├─ lock                 held for as long as it runs
//!    │  ├─ status               the state of the service
//!    │  └─ death_tally          when and how it died lately
//!    └─ log/                    another service directory: it reads what the first one prints
//! ```
//!
//! A [`Scandir`] holds services; a [`ServiceDir`] is one of them, and its logger is
//! [`ServiceDir::log`]. Both are only paths, checked once ([`AbsPath`], [`ServiceName`]): what is
//! there is looked at anew by each call. Nothing below a slot is reached through a symbolic link,
//! since whoever owns a slot may put one there.
//!
//! # Tasks
//!
//! **What state is it in?** [`ServiceDir::status`] gives a [`Status`]: a [`Phase`], what its
//! supervisor [wants](Want), how it last [ended](Exit). [`Report`] tells it in the words of
//! `s6-svstat -o`, [`ServiceDir::death_tally`] what `s6-svdt` tells.
//!
//! ```
//! use s6_svc::{Phase, Status, Want};
//! // What s6 2.13 wrote for a service that is up and ready.
//! let file = include_bytes!("../tests/golden/2.13.1.0-ready.status");
//! let status = Status::decode(file)?;
//! assert!(matches!(status.phase(), Phase::Up { ready: true, .. }));
//! assert_eq!(status.want(), Want::Up);
//! # Ok::<(), s6_svc::DecodeError>(())
//! ```
//!
//! **Start, stop, signal.** [`ServiceDir::control`] sends [`Command`]s; they are carried out after
//! it returns. [`ServiceDir::control_and_wait`] waits for their effect.
//!
//! ```
//! use s6_svc::{Command, ControlError, ServiceDir};
//! let service = ServiceDir::new("/run/service/no-such-service")?;
//! match service.control(&[Command::Up]) {
//!     Ok(()) => println!("told"),
//!     Err(ControlError::NotSupervised { path }) => println!("nobody is there: {}", path.display()),
//!     Err(error) => println!("{error}"),
//! }
//! # Ok::<(), s6_svc::PathError>(())
//! ```
//!
//! **Wait.** A [`Watch`] listens to one service or to many and waits for a [`Goal`] until a
//! [`Deadline`]. It never polls, and it misses nothing: it begins to listen before it looks.
//!
//! **Register.** [`Registration`] brings a [`Definition`] under supervision, [`Unregistration`]
//! takes it out again. Both are idempotent, wait for each other, and survive being killed: no scan
//! ever finds half a slot, and the same call made again completes what was begun.
//! [`Scandir::sweep`] clears what nobody comes back for.
//!
//! ```no_run
//! use std::time::Duration;
//! use s6_svc::{AbsPath, Command, Deadline, Definition, Goal};
//! use s6_svc::{Registration, Scandir, ServiceName, Unregistration};
//!
//! let scandir = Scandir::new("/run/service")?;
//! let name = ServiceName::new("web")?;
//! let definition = Definition::new(AbsPath::new("/usr/libexec/web/run")?)
//!     .log(Definition::new(AbsPath::new("/usr/libexec/web/log")?))?
//!     .notification_fd(3)?
//!     .down();
//! Registration::new(&scandir, &name, &definition).execute()?;
//!
//! let deadline = Deadline::after(Duration::from_secs(10));
//! scandir.service(&name).control_and_wait(&[Command::Up], Goal::Ready, deadline)?;
//!
//! Unregistration::new(&scandir, &name).execute()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Let somebody else control it.** Where `s6-svscan` runs as root, `s6-supervise` makes its FIFO
//! for root alone. [`Registration::owner`] makes the *supervise skeleton* beforehand, for an
//! unprivileged user; [`ServiceDir::seed`] does so for slots that others make, and
//! [`Scandir::repair_services`] gives away what runs already. What to make and what to repair are
//! pure functions: [`skeleton::plan`], [`repair::plan`].
//!
//! **Is this s6 at all?** [`detect::Evidence`] answers it for any user, and in doubt says no.
//! [`Scandir::is_scanned`] and [`ServiceDir::is_supervised`] look at the locks.
//!
//! The directory `examples/` of the crate has a program for each task.
//!
//! # Errors
//!
//! There is one enum for each family of operations: [`DecodeError`], [`NameError`], [`PathError`],
//! [`FsError`], [`StatusError`], [`ControlError`], [`WaitError`], [`RegistrationError`],
//! [`DefinitionError`]. Each names the path or the name that it is about. Two deserve attention:
//!
//! - that nobody supervises a service is an error of its own wherever it can happen
//!   (`NotSupervised`), apart from a service that is not there ([`FsError::Missing`]);
//! - [`FsError::Denied`] tells which file was asked for, which directory barred the way to it, and
//!   whose that is.
//!
//! A program that writes to control FIFOs must ignore SIGPIPE, as Rust programs do from the start.
//!
//! # Where this differs from s6's own programs
//!
//! - A service that never ran is told apart in all versions ([`Phase::NeverStarted`]); `s6-svstat`
//!   does so from 2.14 on.
//! - [`Watch::wait_all`] ends with [`WaitError::Lost`] when a service failed for good while others
//!   are still waited for; `s6-svwait -a` then waits for ever.
//! - Of several supervisors that die within a second, `s6-svscan` 2.13 and 2.15 restart one and
//!   forget the others. [`Registration::execute`] on such a slot makes it anew.
//! - `s6-supervise` 2.15.1.0 does not hear [`Command::OnceAtMostForGood`]; 2.11 does not know
//!   [`Command::PauseGroup`], [`Command::ContinueGroup`] and [`Command::KillGroup`].
//!
//! # Sources
//!
//! The formats are described in s6's documentation of the
//! [service directory](https://skarnet.org/software/s6/servicedir.html), the
//! [scan directory](https://skarnet.org/software/s6/scandir.html) and the
//! [fifodir](https://skarnet.org/software/s6/fifodir.html); what it leaves open was taken from its
//! behaviour. Linux only.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod base;
mod command;
mod control;
mod deadline;
mod definition;
pub mod detect;
mod dir;
mod error;
mod fifodir;
mod name;
mod path;
mod poll;
mod registration;
pub mod repair;
mod report;
mod scandir;
mod seed;
mod servicedir;
pub mod skeleton;
mod slot;
mod staging;
mod status;
mod step;
mod supervisor;
mod sweep;
mod tai;
mod tally;
mod tree;
mod unregistration;
mod wake;
mod watch;

pub use command::{Command, ScandirCommand, UnknownCommand};
pub use deadline::Deadline;
pub use definition::{Definition, DefinitionError, Program};
pub use error::{
    ControlError, DecodeError, FileKind, FsError, Loss, NameError, Owner, PathError,
    RegistrationError, StatusError, WaitError,
};
pub use fifodir::{Event, FifoDir, Subscription};
pub use name::ServiceName;
pub use path::AbsPath;
pub use registration::{Registered, Registration};
pub use report::{Field, Report, Signal, UnknownField};
pub use scandir::{Entry, Scandir};
pub use servicedir::ServiceDir;
pub use status::{Exit, Phase, RawStatus, Status, Want};
pub use step::{Action, Step};
pub use supervisor::Supervisor;
pub use sweep::Swept;
pub use tai::Tai64n;
pub use tally::{Death, DeathTally};
pub use unregistration::{Unregistered, Unregistration};
pub use watch::{Goal, Watch};
