//! The list of resources, one line and one file each, and the filter made of them. A request that no endpoint takes
//! is answered here, and nowhere else: 405 where other methods would do, 404 elsewhere.

use std::sync::Arc;

use warp::{Filter, filters::BoxedFilter, path::FullPath, reply::Response};

use crate::{endpoint::Endpoint, error::ApiError, shared::Shared};

mod audits;
mod chat;
mod chatkit;
mod health;
mod jobs;
mod receipts;
mod runs;
mod stations;

/// Every resource: its name and its endpoints.
fn list() -> Vec<(&'static str, Vec<Endpoint>)> {
    vec![
        ("audits", audits::endpoints()),
        ("chat", chat::endpoints()),
        ("chatkit", chatkit::endpoints()),
        ("health", health::endpoints()),
        ("jobs", jobs::endpoints()),
        ("receipts", receipts::endpoints()),
        ("runs", runs::endpoints()),
        ("stations", stations::endpoints()),
    ]
}

/// Everything this program answers.
pub(crate) fn filter(shared: &Arc<Shared>) -> BoxedFilter<(Response,)> {
    let endpoints: Arc<[Endpoint]> = list().into_iter().flat_map(|(_, endpoints)| endpoints).collect();
    let none_of_them = {
        let endpoints = Arc::clone(&endpoints);
        warp::path::full().map(move |path: FullPath| nothing_there(&endpoints, path.as_str()).into_response()).boxed()
    };
    let filters = endpoints.iter().map(|endpoint| endpoint.filter(shared));
    filters.chain([none_of_them]).reduce(|before, next| before.or(next).unify().boxed()).expect("the list isn't empty")
}

fn nothing_there(endpoints: &[Endpoint], path: &str) -> ApiError {
    let mut methods: Vec<&str> =
        endpoints.iter().filter(|endpoint| endpoint.is_at(path)).flat_map(Endpoint::methods).copied().collect();
    methods.sort_unstable();
    if methods.is_empty() { ApiError::NotFound } else { ApiError::MethodNotAllowed { allow: methods.join(", ") } }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_file_of_this_folder_is_in_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes");
        let stems = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
        let stems: BTreeSet<String> = stems.filter(|stem| stem != "mod").collect();
        let names: BTreeSet<String> = list().iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(stems, names);
    }

    #[test]
    fn a_path_with_other_methods_says_which() {
        let endpoints: Vec<Endpoint> = list().into_iter().flat_map(|(_, endpoints)| endpoints).collect();
        let allow = |path| match nothing_there(&endpoints, path) {
            ApiError::MethodNotAllowed { allow } => Some(allow),
            _ => None,
        };
        assert_eq!(allow("/api/v1/chatkit/webhook").as_deref(), Some("POST"));
        assert_eq!(allow("/chatkit/v1/channels/ops/messages").as_deref(), Some("GET, HEAD, POST"));
        assert_eq!(allow("/api/v1/nothing"), None);
    }
}
