//! The same for programs without an async runtime.
//!
//! Each [`Blocking`] has a runtime of its own on the calling thread; it cannot be used from inside
//! another runtime.

use std::io;

use crate::connect::{ConnectError, Engine};
use crate::find::Surroundings;

/// An engine, and the runtime that speaks to it.
#[derive(Debug)]
pub struct Blocking {
    runtime: Option<tokio::runtime::Runtime>,
    engine: Engine,
}

/// No engine, or no runtime to speak to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockingError {
    /// The system has no descriptors left for a runtime.
    #[error("cannot make a runtime")]
    Runtime(#[source] io::Error),
    /// No engine was found.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl Blocking {
    /// Finds an engine.
    ///
    /// # Errors
    ///
    /// As for [`Engine::connect`].
    pub fn connect(around: &Surroundings) -> Result<Self, BlockingError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(BlockingError::Runtime)?;
        let engine = runtime.block_on(Engine::connect(around))?;
        Ok(Self {
            runtime: Some(runtime),
            engine,
        })
    }

    /// The engine, for calls within [`Blocking::wait`].
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Runs a call to its end: `blocking.wait(blocking.engine().list(&owner, false))`.
    ///
    /// # Panics
    ///
    /// Inside another runtime.
    pub fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        match &self.runtime {
            Some(runtime) => runtime.block_on(call),
            None => unreachable!("it is taken when this is dropped"),
        }
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A thread that reads this process's stdin cannot be waited for.
            runtime.shutdown_background();
        }
    }
}
