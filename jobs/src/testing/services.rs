//! What jobs use beside the database, for tests: the shipped playbooks and sources, and a chat of the test's choosing.

use std::sync::Arc;

use agents::{
    chat::Chat,
    connectors::Files,
    outbound::{Client, HostPort, Policy},
};
use url::Url;

use crate::{installation, kinds::Services};

/// With a chat that nothing can reach: every post fails, and may pass later.
#[must_use]
pub fn services() -> Arc<Services> {
    with_chat("http://chat.invalid/", Policy::default())
}

/// With a chat at `url`, which may be on this machine.
///
/// # Panics
/// When `url` isn't one.
#[must_use]
pub fn services_posting_to(url: &str) -> Arc<Services> {
    let host = url.parse::<Url>().ok().and_then(|url| HostPort::of(&url)).expect("a URL with a host");
    with_chat(url, Policy { allow_hosts: vec![host], ..Policy::default() })
}

fn with_chat(url: &str, policy: Policy) -> Arc<Services> {
    let client = Client::new(policy).expect("the policy is one");
    let chat = Chat::new(client, url.parse().expect("a URL"), String::new(), None);
    Arc::new(installation::services(Files::Bundled, chat).expect("the shipped files are well-formed"))
}
