//! `postmaster.pid`, the file in which a running server says who and how far it is. Only reading; the file is the server's.

use std::fs;
use std::path::Path;

/// What a server wrote about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: u32,
    pub(super) is_ready: bool,
}

impl PidFile {
    /// Of the server that runs, or ran, on `data`.
    pub(super) fn read(data: &Path) -> Option<PidFile> {
        parse(&fs::read_to_string(data.join("postmaster.pid")).ok()?)
    }
}

/// Line 1 is the process, line 8 how far it is; a file being written may have fewer lines.
fn parse(text: &str) -> Option<PidFile> {
    let mut lines = text.lines();
    let pid = lines.next()?.trim().parse().ok().filter(|pid| *pid > 0)?;
    let is_ready = lines.nth(6).is_some_and(|state| state.trim() == "ready");
    Some(PidFile { pid, is_ready })
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = "4711\n/var/lib/vtoc/postgres\n1790000000\n5544\n\n127.0.0.1\n  1234567    65536\nready   \n";

    #[test]
    fn a_ready_server_is_recognised() {
        assert_eq!(parse(READY), Some(PidFile { pid: 4711, is_ready: true }));
    }

    #[test]
    fn a_server_that_recovers_is_not_ready() {
        assert_eq!(parse(&READY.replace("ready   ", "starting")), Some(PidFile { pid: 4711, is_ready: false }));
        assert_eq!(parse("4711\n/var/lib"), Some(PidFile { pid: 4711, is_ready: false }));
    }

    #[test]
    fn an_empty_or_damaged_file_names_no_server() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("-4711\n"), None);
        assert_eq!(parse("not a number\n"), None);
    }
}
