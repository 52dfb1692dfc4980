//! `talaria svc list`.

use s6_svc::{Report, Scandir, StatusError, Tai64n};

use super::json::Service;
use super::{Failure, Result, one};
use crate::cli::List;
use crate::output;

pub(crate) fn run(scandir: &Scandir, list: &List) -> Result {
    let now = Tai64n::now();
    let (mut failures, mut services, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for entry in scandir.entries().map_err(one)? {
        let name = entry.name().display().to_string();
        let service = entry.service().clone().following_links();
        let (json, state) = match Report::of(&service) {
            Ok(report) => {
                let state = super::stat::describe(&report, now);
                (Service::supervised(name.clone(), &report, now), state)
            }
            Err(StatusError::NotSupervised { .. }) => (
                Service::unsupervised(name.clone()),
                "not supervised".to_owned(),
            ),
            Err(error) => {
                failures.push(Failure::from(error));
                continue;
            }
        };
        services.push(json);
        rows.push(vec![name, state]);
    }
    if list.json {
        failures.extend(super::json::print(&services).err());
    } else if let Err(error) = output::rows(&["SERVICE", "STATE"], &rows) {
        failures.push(error.into());
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures)
    }
}
