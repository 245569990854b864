//! The resolver that connections use: it gives public addresses only. What it filters is what is connected to; there
//! is no second look-up that could answer differently.

use std::{io, net::SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_public;

pub(super) struct Public;

/// The mark of a refusal in the chain of causes, by which it is told from an unknown name.
#[derive(Debug, thiserror::Error)]
#[error("no public address")]
pub(super) struct NoPublicAddress;

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, NoPublicAddress).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}
