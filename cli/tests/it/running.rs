//! A running `vtoc up`: started, watched, killed or stopped.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::place::vtoc;

/// A running `vtoc up`, killed when the test fails.
pub(crate) struct Up {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Up {
    pub(crate) fn start(data: &Path) -> Up {
        Self::start_with(data, 1)
    }

    pub(crate) fn start_with(data: &Path, workers: usize) -> Up {
        let mut child = vtoc()
            .args(["up", "--port", "0", "--workers", &workers.to_string(), "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let Some(url) = line.trim_end().strip_prefix("vtoc ready ").map(str::to_owned) else {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("vtoc up didn't get ready: {said}");
        };
        Up { child, url }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As an operator stops it; answers with the exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // An orderly end where there is one to be had, so that a failed test leaves no fleet behind.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = Command::new("kill").arg(self.child.id().to_string()).status();
            let _ = self.child.wait();
        }
    }
}
