//! Where a test keeps its files, and how it runs the program there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder that the server's account may enter, gone with the test.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        Place(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path().join("postgres.log")
    }
}

/// The program, with no settings but those of the test.
pub(crate) fn vtoc() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vtoc"));
    for name in [
        "DATABASE_URL",
        "DATABASE_URL_OWNER",
        "VTOC_ADMIN_TOKEN",
        "CHATKIT_WEBHOOK_SECRET",
        "CHATKIT_BASE_URL",
        "CHATKIT_API_KEY",
    ] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn error_output(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs one statement and answers with what `psql` prints, bare.
pub(crate) fn psql(programs: &Path, url: &str, statement: &str) -> Output {
    Command::new(programs.join("psql")).args(["--no-psqlrc", "-At", url, "-c", statement]).output().unwrap()
}
