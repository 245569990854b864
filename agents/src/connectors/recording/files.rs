//! Where configuration and recordings come from: built into the program, or a folder of the operator's. A folder is a
//! boundary: no path in its configuration leads out of it, by `..`, absolute or through a link.

use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
};

use crate::connectors::{ConnectorError, config::Source};

/// The recordings that ship with the program, by their path in configuration.
const BUNDLED: &[(&str, &[u8])] = &[
    ("fixtures/adsb/lax-a.sbs.gz", include_bytes!("../../../fixtures/adsb/lax-a.sbs.gz")),
    ("fixtures/adsb/lax-b.readsb.ndjson.gz", include_bytes!("../../../fixtures/adsb/lax-b.readsb.ndjson.gz")),
];

/// Where configuration and recordings come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// What ships with the program.
    Bundled,
    /// A folder with `agentkit.yml`, `agents.yml` and the files they name.
    Folder(PathBuf),
}

impl Files {
    /// The text of `agents.yml`, for [`crate::connectors::Sources::parse`].
    ///
    /// # Errors
    /// When the folder doesn't hold it or it isn't text.
    pub fn agents_yml(&self) -> io::Result<String> {
        self.text("agents.yml", include_str!("../../../config/agents.yml"))
    }

    /// The text of `agentkit.yml`, for [`crate::playbooks::Catalogue::parse`].
    ///
    /// # Errors
    /// When the folder doesn't hold it or it isn't text.
    pub fn agentkit_yml(&self) -> io::Result<String> {
        self.text("agentkit.yml", include_str!("../../../config/agentkit.yml"))
    }

    fn text(&self, name: &str, bundled: &str) -> io::Result<String> {
        match self {
            Self::Bundled => Ok(bundled.to_owned()),
            Self::Folder(folder) => std::fs::read_to_string(folder.join(name)),
        }
    }

    /// The bytes of a source's recording, still packed.
    pub(crate) fn open(&self, source: &Source) -> Result<Box<dyn Read + Send>, ConnectorError> {
        let named = || (source.name.clone(), source.file.display().to_string());
        match self {
            Self::Bundled => {
                let found = BUNDLED.iter().find(|(path, _)| Path::new(path) == source.file);
                let (source_name, file) = named();
                let (_, bytes) = found.ok_or(ConnectorError::Missing { source_name, file })?;
                Ok(Box::new(Cursor::new(*bytes)))
            }
            Self::Folder(folder) => {
                let (source_name, file) = named();
                match inside(folder, &source.file) {
                    Ok(Some(path)) => match File::open(path) {
                        Ok(file) => Ok(Box::new(file)),
                        Err(error) => Err(refused(error, source_name, file)),
                    },
                    Ok(None) => Err(ConnectorError::Outside { source_name, file }),
                    Err(error) => Err(refused(error, source_name, file)),
                }
            }
        }
    }
}

/// The real path of `file` under `folder`; none when it is elsewhere. Links are followed before the comparison.
fn inside(folder: &Path, file: &Path) -> io::Result<Option<PathBuf>> {
    let root = folder.canonicalize()?;
    let climbs = file.components().any(|part| matches!(part, std::path::Component::ParentDir));
    if climbs || (file.is_absolute() && !file.starts_with(folder) && !file.starts_with(&root)) {
        return Ok(None);
    }
    let path = root.join(file).canonicalize()?;
    Ok(path.starts_with(&root).then_some(path))
}

fn refused(error: io::Error, source_name: String, file: String) -> ConnectorError {
    match error.kind() {
        io::ErrorKind::NotFound => ConnectorError::Missing { source_name, file },
        _ => ConnectorError::Unreadable { source_name, file, reason: error.kind().to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::Sources;

    fn source_of(file: &str) -> Source {
        let text = Files::Bundled.agents_yml().unwrap();
        let mut source = Sources::parse(&text).unwrap().get("lax-a").unwrap().clone();
        source.file = PathBuf::from(file);
        source
    }

    #[test]
    fn a_folder_gives_its_own_files_only() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("configuration");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a.sbs"), "inside").unwrap();
        std::fs::write(around.path().join("secret"), "outside").unwrap();
        std::os::unix::fs::symlink(around.path().join("secret"), folder.join("link")).unwrap();
        let files = Files::Folder(folder.clone());

        let absolute = folder.join("a.sbs").display().to_string();
        for good in ["a.sbs", absolute.as_str()] {
            let mut text = String::new();
            files.open(&source_of(good)).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "inside");
        }
        for outside in ["../secret", "/etc/passwd", "link", "x/../../secret"] {
            let refused = files.open(&source_of(outside)).err().unwrap();
            assert!(matches!(refused, ConnectorError::Outside { .. }), "{outside}: {refused}");
        }
        let missing = files.open(&source_of("b.sbs")).err().unwrap();
        assert!(matches!(missing, ConnectorError::Missing { .. }));
    }

    #[test]
    fn the_bundle_has_every_file_its_configuration_names() {
        let sources = Sources::parse(&Files::Bundled.agents_yml().unwrap()).unwrap();
        assert!(sources.all().all(|source| Files::Bundled.open(source).is_ok()));
        assert!(matches!(Files::Bundled.open(&source_of("other")), Err(ConnectorError::Missing { .. })));
    }
}
