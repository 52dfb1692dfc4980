//! Completing what killed processes left half done.

use crate::deadline::Deadline;
use crate::error::RegistrationError;
use crate::name::ServiceName;
use crate::registration::Scene;
use crate::scandir::Scandir;
use crate::slot::Scanner;
use crate::staging::Workshop;
use crate::step::Steps;
use crate::tree;

/// A leftover that a sweep found, and how removing it went.
#[derive(Debug)]
pub struct Swept {
    /// The service that was being registered or unregistered.
    pub name: ServiceName,
    /// Whether it could be removed.
    pub result: Result<(), RegistrationError>,
}

impl Scandir {
    /// Removes what interrupted registrations and unregistrations left. What is in progress is left
    /// alone.
    ///
    /// Nothing that s6 would supervise is touched: a slot that was published stays.
    ///
    /// # Errors
    /// [`RegistrationError::Fs`] where the scandir cannot be listed; a leftover that cannot be
    /// removed is among the results.
    pub fn sweep(&self, deadline: Deadline) -> Result<Vec<Swept>, RegistrationError> {
        let scandir = self.open()?;
        let scanner = Scanner::find(&scandir)?;
        let mut swept = Vec::new();
        for name in tree::names(&scandir)?
            .iter()
            .filter_map(|file| Workshop::service_of(file))
        {
            let workshop = match Workshop::take_over(&scandir, &name) {
                Ok(Some(workshop)) => workshop,
                Ok(None) => continue,
                Err(error) => {
                    swept.push(Swept {
                        name,
                        result: Err(error),
                    });
                    continue;
                }
            };
            let scene = Scene {
                place: self,
                scandir: &scandir,
                scanner: &scanner,
                workshop: &workshop,
            };
            let steps = &mut Steps::default();
            let result = scene.clear(deadline, steps);
            let result = result.and(workshop.leave(&scandir, steps).map_err(Into::into));
            swept.push(Swept { name, result });
        }
        Ok(swept)
    }
}
