//! What a client may talk to and how long. Names by the operator open exactly one host and port each.

use std::{fmt, str::FromStr, time::Duration};

use url::{Host, Url};

/// Ports that may be used without being listed.
pub(super) const PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// A host and a port, as a URL would name them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: Host<String>,
    port: u16,
}

impl HostPort {
    /// The host and port that a URL leads to; none for a URL without a host.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        Some(Self { host: url.host()?.to_owned(), port: url.port_or_known_default()? })
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || format!("{text:?} is not host:port");
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let host = Host::parse(host).map_err(|_| refused())?;
        Ok(Self { host, port: port.parse().map_err(|_| refused())? })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What a client may talk to and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Hosts that may have any address and port; exactly these. Empty by default.
    pub allow_hosts: Vec<HostPort>,
    /// For connecting, name look-up included. Default 5 s.
    pub connect_timeout: Duration,
    /// For the whole call, the last byte of the answer included. Default 15 s.
    pub total_timeout: Duration,
    /// Most bytes of an answer. Default 1 MiB.
    pub response_bytes_max: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow_hosts: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(15),
            response_bytes_max: 1024 * 1024,
        }
    }
}

impl Policy {
    /// Whether the operator named exactly this host and port.
    pub(super) fn lists(&self, host: &Host<&str>, port: u16) -> bool {
        self.allow_hosts.iter().any(|listed| listed.port == port && same(&listed.host, host))
    }
}

fn same(listed: &Host<String>, host: &Host<&str>) -> bool {
    match (listed, host) {
        (Host::Domain(a), Host::Domain(b)) => a == b,
        (Host::Ipv4(a), Host::Ipv4(b)) => a == b,
        (Host::Ipv6(a), Host::Ipv6(b)) => a == b,
        _ => false,
    }
}
