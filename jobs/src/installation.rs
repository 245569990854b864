//! What an installation is configured to run: its playbooks and sources, from a folder or as shipped.

use std::{path::PathBuf, sync::Arc};

use agents::{
    chat::Chat,
    connectors::{Files, Sources},
    playbooks::Catalogue,
};

use crate::{Error, kinds::Services};

/// The files of an installation: those in `folder`, or those that are shipped.
#[must_use]
pub fn files(folder: Option<PathBuf>) -> Files {
    folder.map_or(Files::Bundled, Files::Folder)
}

/// The playbooks in `files`.
///
/// # Errors
/// [`Error::Invalid`] with line and column when the file can't be understood.
pub fn catalogue(files: &Files) -> Result<Arc<Catalogue>, Error> {
    let text = files.agentkit_yml().map_err(|error| Error::invalid("agentkit.yml", error.to_string()))?;
    let catalogue = Catalogue::parse(&text).map_err(|error| Error::invalid("agentkit.yml", error.to_string()))?;
    Ok(Arc::new(catalogue))
}

/// What the jobs of a worker process use, built once.
///
/// # Errors
/// [`Error::Invalid`] with line and column when a file can't be understood.
pub fn services(files: Files, chat: Chat) -> Result<Services, Error> {
    let text = files.agents_yml().map_err(|error| Error::invalid("agents.yml", error.to_string()))?;
    let sources = Sources::parse(&text).map_err(|error| Error::invalid("agents.yml", error.to_string()))?;
    Ok(Services { chat, catalogue: catalogue(&files)?, sources, files })
}
