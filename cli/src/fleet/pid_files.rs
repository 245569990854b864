//! Which processes a run started, written down so that the next run can end what a killed one left. A number alone proves
//! nothing: numbers are used again, so the program stands beside it and is looked for in the process' command line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use crate::{private_file, process};

/// How long a leftover may take to end by itself: its attempts are released, not lost, when it is killed.
const PATIENCE: Duration = Duration::from_secs(10);
const KILL_PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn write(run: &Path, name: &str, pid: u32, program: &Path) -> io::Result<()> {
    private_file::replace(&path(run, name), &format!("{pid} {}\n", program.display()))
}

/// Forgets a process that ended, unless another has taken its place.
pub(super) fn remove(run: &Path, name: &str, pid: Option<u32>) {
    let path = path(run, name);
    if read(&path).is_some_and(|(written, _)| Some(written) == pid) {
        // A file that stays names a process that is gone, which the next start sees.
        let _ = fs::remove_file(path);
    }
}

/// Ends every process that an earlier run wrote down and that still runs; answers how many there were.
pub(crate) async fn end_leftovers(run: &Path) -> Result<usize> {
    let files = fs::read_dir(run)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "pid"));
    let mut running = Vec::new();
    for file in files {
        match read(&file).filter(|(pid, program)| is_ours(*pid, program)) {
            Some((pid, program)) => {
                process::send(pid, Signal::SIGTERM)?;
                running.push((pid, program, file));
            }
            None => fs::remove_file(&file)?,
        }
    }
    let count = running.len();
    for (pid, program, file) in running {
        if !process::gone(pid, &program, PATIENCE).await {
            process::send(pid, Signal::SIGKILL)?;
            if !process::gone(pid, &program, KILL_PATIENCE).await {
                bail!("process {pid} ({program}), left by an earlier run, can't be ended: end it, then try again");
            }
        }
        fs::remove_file(file)?;
    }
    Ok(count)
}

fn is_ours(pid: u32, program: &str) -> bool {
    process::command_line(pid).is_some_and(|line| line.contains(program))
}

fn read(path: &Path) -> Option<(u32, String)> {
    let text = fs::read_to_string(path).ok()?;
    let (pid, program) = text.trim_end().split_once(' ')?;
    let is_whole = !program.is_empty();
    pid.parse().ok().filter(|pid| *pid > 1 && is_whole).map(|pid| (pid, program.to_owned()))
}

fn path(run: &Path, name: &str) -> PathBuf {
    run.join(format!("{name}.pid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_that_a_killed_run_left_is_ended() {
        let run = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        write(run.path(), "worker-1", child.id(), Path::new("sleep")).unwrap();
        let reaped = std::thread::spawn(move || child.wait());
        assert_eq!(end_leftovers(run.path()).await.unwrap(), 1);
        assert!(!reaped.join().unwrap().unwrap().success());
        assert_eq!(fs::read_dir(run.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_number_that_another_program_has_now_is_left_alone() {
        let run = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        write(run.path(), "worker-1", child.id(), Path::new("/usr/bin/vtoc-worker")).unwrap();
        assert_eq!(end_leftovers(run.path()).await.unwrap(), 0);
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_damaged_file_names_nobody() {
        let run = tempfile::tempdir().unwrap();
        for text in ["", "12", "x /bin/y", "1 /sbin/init", "-5 /bin/y", "12 "] {
            fs::write(path(run.path(), "worker-1"), text).unwrap();
            assert_eq!(read(&path(run.path(), "worker-1")), None, "{text:?}");
        }
    }
}
