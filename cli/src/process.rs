//! Processes known by number only: who they are, whether they still run, and how to end them. For those that another run
//! of `vtoc` left behind; a child of this run is watched through its handle.

use std::fs;
use std::io;
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

/// How often a process is looked at while it is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the process was started with, words joined by blanks; none when it doesn't run.
#[must_use]
pub(crate) fn command_line(pid: u32) -> Option<String> {
    let line = match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(words) => String::from_utf8_lossy(&words).replace('\0', " "),
        // Not Linux: there, the file of a process that runs is always readable.
        Err(_) if fs::metadata("/proc/self").is_err() => ask_ps(pid)?,
        Err(_) => return None,
    };
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn ask_ps(pid: u32) -> Option<String> {
    let answer = Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output().ok()?;
    Some(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// Sends a signal; a process that is gone already is no error.
pub(crate) fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    match signal::kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until no process of this number runs `program`; false when it still does after `patience`.
pub(crate) async fn gone(pid: u32, program: &str, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while command_line(pid).is_some_and(|line| line.contains(program)) {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(LOOK_EVERY).await;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_command_line_is_known() {
        let own = command_line(std::process::id()).unwrap();
        assert!(own.contains(std::env::current_exe().unwrap().file_name().unwrap().to_str().unwrap()), "{own}");
    }

    #[tokio::test]
    async fn a_process_that_was_ended_is_gone_and_may_be_signalled_again() {
        let mut child = tokio::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = child.id().unwrap();
        // A process that is just being started has no command line yet.
        while command_line(pid).is_none_or(|line| !line.contains("sleep")) {
            sleep(Duration::from_millis(1)).await;
        }
        assert!(!gone(pid, "sleep", Duration::ZERO).await);
        send(pid, Signal::SIGTERM).unwrap();
        child.wait().await.unwrap();
        assert!(gone(pid, "sleep", Duration::from_secs(5)).await);
        send(pid, Signal::SIGTERM).unwrap();
    }
}
