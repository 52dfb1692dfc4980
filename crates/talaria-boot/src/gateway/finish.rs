//! `finish` of a gateway's slot: parks a gateway that cannot work as it is configured.

use std::convert::Infallible;
use std::ffi::OsString;

use crate::error::BootError;
use crate::init::state;
use crate::report;

/// `EX_CONFIG` of `sysexits.h`: a gateway's word for bad configuration.
const BAD_CONFIGURATION: i32 = 78;

/// What tells s6-supervise not to start the service again.
pub(crate) const PERMANENT_FAILURE: i32 = 125;

/// Ends with [`PERMANENT_FAILURE`] where another start would fail the same way.
pub(crate) fn run(args: &[OsString]) -> Result<Infallible, BootError> {
    let usage = BootError::Usage("finish EXITCODE SIGNAL NAME PGID");
    let code: i32 = args
        .first()
        .and_then(|code| code.to_string_lossy().parse().ok())
        .ok_or(usage)?;
    let profile = super::profile(args.get(2))?;
    if code != BAD_CONFIGURATION {
        std::process::exit(0);
    }
    report::line(&format_args!(
        "gateway of profile {profile}: parked, it exited with {code} (bad configuration); \
         mend it, then start it again"
    ));
    if state::supervised_gateway().as_ref() == Some(&profile) {
        state::tell_gateway_failed(code);
    }
    std::process::exit(PERMANENT_FAILURE);
}
