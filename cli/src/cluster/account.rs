//! Whom the Postgres server runs as. Postgres refuses to run as root, so root hands it to an account without rights;
//! anybody else runs it as themselves. What the account may enter is judged here, before Postgres fails on it.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use tokio::process::Command;

use super::Error;

/// The accounts that root gives the server to, best first: the one distributions make for Postgres, then the one for
/// work without rights that every system has.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The account that owns the cluster's files and runs its processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// The one that runs `vtoc`.
    Own,
    /// Another, because `vtoc` runs as root.
    Unprivileged {
        /// Login name, for messages.
        name: String,
        /// User id.
        uid: u32,
        /// Primary group id.
        gid: u32,
    },
}

impl Account {
    /// The account that fits whoever runs this process.
    pub fn choose() -> Result<Account, Error> {
        if !Uid::effective().is_root() {
            return Ok(Account::Own);
        }
        UNPRIVILEGED
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Account::Unprivileged { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
            .ok_or(Error::NoAccount)
    }

    /// Makes `command` run as this account.
    pub(super) fn apply(&self, command: &mut Command) {
        if let Account::Unprivileged { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
    }

    /// Gives a file or folder to this account.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        match self {
            Account::Own => Ok(()),
            Account::Unprivileged { uid, gid, .. } => chown(path, Some(*uid), Some(*gid)),
        }
    }

    /// The permission bits a folder of ours needs so that this account can reach what lies in it.
    #[must_use]
    pub fn folder_mode(&self) -> u32 {
        match self {
            Account::Own => 0o700,
            Account::Unprivileged { .. } => 0o711,
        }
    }

    /// The first folder on the way to `path` that this account can't enter.
    pub(super) fn blocked_at(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let Account::Unprivileged { uid, gid, .. } = self else { return Ok(None) };
        for folder in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
            let metadata = fs::metadata(folder)?;
            if metadata.is_dir() && !may_enter(metadata.mode(), metadata.uid() == *uid, metadata.gid() == *gid) {
                return Ok(Some(folder.to_path_buf()));
            }
        }
        Ok(None)
    }
}

/// Whether the search bit that applies to somebody is set: Unix looks at exactly one of the three.
fn may_enter(mode: u32, is_owner: bool, in_group: bool) -> bool {
    let bit = if is_owner {
        0o100
    } else if in_group {
        0o010
    } else {
        0o001
    };
    mode & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bits_of_the_matching_class_count() {
        assert!(may_enter(0o711, false, false));
        assert!(!may_enter(0o770, false, false));
        assert!(may_enter(0o710, false, true));
        assert!(!may_enter(0o077, true, true));
        assert!(!may_enter(0o701, false, true));
    }

    #[test]
    fn ones_own_account_is_blocked_nowhere() {
        assert_eq!(Account::Own.blocked_at(Path::new("/does/not/exist")).unwrap(), None);
    }
}
