//! Where Postgres' own programs are on this machine: named by the environment, on the path, where Debian and Homebrew
//! put them, or in the project's own tools. Nothing is installed here; `scripts/setup` does that.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Account, Error};

/// Overrides the search: the folder with `initdb`, `pg_ctl` and `postgres`.
pub const BIN_VARIABLE: &str = "VTOC_POSTGRES_BIN";

const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// One installation of Postgres that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The folder with the programs, symbolic links resolved.
    pub folder: PathBuf,
    /// As `postgres --version` says it: `15.18`.
    pub version: String,
}

impl Binaries {
    /// The first usable installation; with `major`, the first of that major version, which is the only one that can
    /// open a cluster made by it.
    pub fn find(account: &Account, major: Option<u32>) -> Result<Binaries, Error> {
        if let Some(folder) = env::var_os(BIN_VARIABLE) {
            let folder = PathBuf::from(folder);
            let found = Binaries::inspect(&folder, account).ok_or(Error::NoBinariesIn { folder })?;
            return match major {
                Some(wanted) if found.major() != Some(wanted) => {
                    Err(Error::OtherVersion { wanted, found: found.version })
                }
                _ => Ok(found),
            };
        }
        let mut others = None;
        for candidate in candidates() {
            let Some(found) = Binaries::inspect(&candidate, account) else { continue };
            if major.is_none() || found.major() == major {
                return Ok(found);
            }
            others.get_or_insert(found.version);
        }
        match (major, others) {
            (Some(wanted), Some(found)) => Err(Error::OtherVersion { wanted, found }),
            _ => Err(Error::NoBinaries),
        }
    }

    /// The path of one program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The major version: `15` of `15.18`.
    #[must_use]
    pub fn major(&self) -> Option<u32> {
        self.version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }

    fn inspect(folder: &Path, account: &Account) -> Option<Binaries> {
        if !PROGRAMS.iter().all(|name| folder.join(name).is_file()) {
            return None;
        }
        // A link on the path leads to the folder where the rest (psql, pg_dump) is, too.
        let folder = fs::canonicalize(folder.join("postgres")).ok()?.parent()?.to_path_buf();
        if !PROGRAMS.iter().all(|name| folder.join(name).is_file()) || account.blocked_at(&folder).ok()?.is_some() {
            return None;
        }
        let answer = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        let version = version_in(&String::from_utf8_lossy(&answer.stdout))?;
        Some(Binaries { folder, version })
    }
}

/// Folders that may hold the programs, best first.
fn candidates() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    folders.extend(versioned("/usr/lib/postgresql", "", "bin"));
    folders.extend(versioned("/opt/homebrew/opt", "postgresql@", "bin"));
    folders.extend(versioned("/usr/local/opt", "postgresql@", "bin"));
    let beside = env::current_exe().ok();
    let here = env::current_dir().ok();
    for start in [beside, here].into_iter().flatten() {
        folders.extend(start.ancestors().map(|folder| folder.join(".tools/postgres/bin")));
    }
    folders.push(PathBuf::from("/opt/vtoc/postgres/bin"));
    folders
}

/// `<parent>/<prefix><number>/<below>` for every such folder, highest number first.
fn versioned(parent: &str, prefix: &str, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path().join(below)))
        })
        .collect();
    found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// The version in what `postgres --version` prints.
fn version_in(printed: &str) -> Option<String> {
    let word = printed.strip_prefix("postgres (PostgreSQL) ")?.split_whitespace().next()?;
    word.starts_with(|c: char| c.is_ascii_digit()).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str) -> Binaries {
        Binaries { folder: PathBuf::new(), version: version.to_owned() }
    }

    #[test]
    fn the_version_is_read_from_what_the_server_prints() {
        assert_eq!(version_in("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n").as_deref(), Some("15.18"));
        assert_eq!(version_in("postgres (PostgreSQL) 18beta1\n").as_deref(), Some("18beta1"));
        assert_eq!(version_in("bash: postgres: command not found"), None);
    }

    #[test]
    fn the_major_version_is_the_leading_number() {
        assert_eq!(of("15.18").major(), Some(15));
        assert_eq!(of("18beta1").major(), Some(18));
        assert_eq!(of("devel").major(), None);
    }

    #[test]
    fn newer_installations_come_first() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["9", "15", "17", "doc"] {
            fs::create_dir_all(parent.path().join(name).join("bin")).unwrap();
        }
        let found = versioned(parent.path().to_str().unwrap(), "", "bin");
        let names: Vec<_> = found.iter().map(|f| f.parent().unwrap().file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["17", "15", "9"]);
    }

    #[test]
    fn a_folder_without_all_programs_is_no_installation() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("postgres"), "").unwrap();
        assert_eq!(Binaries::inspect(folder.path(), &Account::Own), None);
    }
}
