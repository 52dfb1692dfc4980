//! Files that were open in whoever started this process.
#![expect(
    unsafe_code,
    reason = "the standard library has no way to close what it has not opened"
)]

use std::fs;

/// Closes every file that was inherited but standard input, output and error: a process that
/// outlives its starter would keep pipes and locks of the starter's for as long as it runs.
///
/// For the very beginning, while nothing else is open.
pub(super) fn close() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    let numbers: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in numbers {
        // The listing's own is closed by now.
        if fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok() {
            // SAFETY: it is open, and not by this process, which has opened nothing that is open
            // still: nothing in it owns the number.
            unsafe { rustix::io::close(number) }
        }
    }
}
