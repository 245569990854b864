//! Logs of the processes that `vtoc` starts: files in the data folder that are appended to, and set aside when they have
//! grown. What stands in them is the processes' own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A log of this size is set aside when its process starts the next time.
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How much of the end of a log a message shows.
const TAIL_BYTES: i64 = 2000;

/// Opens a log for appending, readable by its owner only.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > BYTES_MAX) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// The last lines of a log, as many as fit a message; empty when there are none.
#[must_use]
pub(crate) fn tail(path: &Path) -> String {
    read_tail(path).unwrap_or_default()
}

fn read_tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let is_long = file.metadata()?.len() > TAIL_BYTES.unsigned_abs();
    if is_long {
        file.seek(SeekFrom::End(-TAIL_BYTES))?;
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let whole_lines = if is_long { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
    Ok(whole_lines.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_long_log_begins_with_a_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        let lines: Vec<String> = (0..1000).map(|n| format!("line {n}")).collect();
        fs::write(&path, lines.join("\n")).unwrap();
        let tail = tail(&path);
        assert!(tail.starts_with("line ") && tail.ends_with("line 999"), "{tail}");
        assert!(tail.len() <= 2000);
    }

    #[test]
    fn a_log_that_has_grown_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        File::create(&path).unwrap().set_len(BYTES_MAX + 1).unwrap();
        open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        assert_eq!(fs::metadata(folder.path().join("x.log.1")).unwrap().len(), BYTES_MAX + 1);
    }

    #[test]
    fn a_missing_log_has_no_tail() {
        assert_eq!(tail(Path::new("/does/not/exist.log")), "");
    }
}
