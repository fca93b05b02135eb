//! What a task tells the person who waits for it.

use std::io::Write as _;

/// Prints one line about what is being done now.
///
/// Lines go to standard error, so that standard output stays what a task is asked for.
pub fn say(line: impl AsRef<str>) {
    // A closed terminal is no reason to stop half way.
    let _ = writeln!(std::io::stderr(), "{}", line.as_ref());
}
