//! Secrets of an installation: taken from the environment, or generated once and kept in the data folder, 0600.
//! They are never printed and never stand in an argument.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::data_folder::DataFolder;
use crate::private_file;

/// Random bytes in a generated secret.
const GENERATED_BYTES: usize = 32;

/// Where a secret came from, which is what may be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A variable of this name.
    Environment(&'static str),
    /// This file.
    File(PathBuf),
}

/// A secret and where it came from. Its value isn't in its debug output.
#[derive(Clone)]
pub(crate) struct Secret {
    value: String,
    source: Source,
}

impl Secret {
    /// The value of the environment variable if it is set, else the one kept under `name`, generated at first use.
    pub(crate) fn from_environment_or_kept(variable: &'static str, folder: &DataFolder, name: &str) -> Result<Secret> {
        match env::var(variable) {
            Ok(value) if !value.is_empty() => Ok(Secret { value, source: Source::Environment(variable) }),
            _ => Secret::kept(folder, name),
        }
    }

    /// The secret kept under `name` in the data folder, generated at first use.
    pub(crate) fn kept(folder: &DataFolder, name: &str) -> Result<Secret> {
        let path = folder.key(name);
        let value = match fs::read_to_string(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let value = generate();
                private_file::replace(&path, &value).with_context(|| format!("write {}", path.display()))?;
                value
            }
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        ensure!(!value.is_empty(), "{} is empty: remove it, and a new secret is generated", path.display());
        Ok(Secret { value, source: Source::File(path) })
    }

    /// The secret itself.
    #[must_use]
    pub(crate) fn expose(&self) -> &str {
        &self.value
    }

    /// Where it came from.
    #[must_use]
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("source", &self.source).finish_non_exhaustive()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Environment(name) => write!(f, "from {name}"),
            Source::File(path) => write!(f, "in {}", path.display()),
        }
    }
}

/// A new random secret: 64 hexadecimal digits, safe in URLs and headers.
#[must_use]
pub(crate) fn generate() -> String {
    hex::encode(rand::random::<[u8; GENERATED_BYTES]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_secret_is_generated_once() {
        let path = tempfile::tempdir().unwrap();
        let folder = DataFolder::take(path.path()).unwrap();
        let first = Secret::kept(&folder, "chat-key").unwrap();
        let second = Secret::kept(&folder, "chat-key").unwrap();
        assert_eq!(first.expose(), second.expose());
        assert_eq!(first.expose().len(), 64);
    }

    #[test]
    fn an_empty_file_is_not_a_secret() {
        let path = tempfile::tempdir().unwrap();
        let folder = DataFolder::take(path.path()).unwrap();
        fs::write(folder.key("chat-key"), "\n").unwrap();
        assert!(Secret::kept(&folder, "chat-key").unwrap_err().to_string().contains("is empty"));
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let path = tempfile::tempdir().unwrap();
        let folder = DataFolder::take(path.path()).unwrap();
        let secret = Secret::kept(&folder, "chat-key").unwrap();
        assert!(!format!("{secret:?}").contains(secret.expose()));
    }
}
