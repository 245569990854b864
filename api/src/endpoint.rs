//! One endpoint: a method, a path template and the handler behind them, as a warp filter. Which endpoints there are
//! is `routes`' to say.

use std::{future::Future, sync::Arc};

use futures::{
    FutureExt,
    future::{BoxFuture, ready},
};
use hyper::{HeaderMap, Method};
use warp::{Filter, Rejection, filters::BoxedFilter, path::FullPath, reply::Response};

use crate::{
    body::{self, BodyStream},
    error::ApiError,
    path,
    shared::Shared,
};

/// How a handler ends.
pub(crate) type Answer = Result<Response, ApiError>;

type Handler = Arc<dyn Fn(Call) -> BoxFuture<'static, Answer> + Send + Sync>;

/// One request on its way to a handler.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    /// The decoded `{…}` segments of the path.
    pub(crate) captures: Vec<String>,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: BodyStream,
}

impl Call {
    /// The only `{…}` segment of a template that has one.
    pub(crate) fn capture(&self) -> &str {
        self.captures.first().expect("the endpoint's template has a capture")
    }
}

/// A method, a path template and a handler.
pub(crate) struct Endpoint {
    method: Method,
    template: &'static str,
    handler: Handler,
}

impl Endpoint {
    pub(crate) fn get<F: Future<Output = Answer> + Send + 'static>(
        template: &'static str,
        handler: fn(Call) -> F,
    ) -> Self {
        Self::new(Method::GET, template, handler)
    }

    pub(crate) fn post<F: Future<Output = Answer> + Send + 'static>(
        template: &'static str,
        handler: fn(Call) -> F,
    ) -> Self {
        Self::new(Method::POST, template, handler)
    }

    pub(crate) fn put<F: Future<Output = Answer> + Send + 'static>(
        template: &'static str,
        handler: fn(Call) -> F,
    ) -> Self {
        Self::new(Method::PUT, template, handler)
    }

    fn new<F: Future<Output = Answer> + Send + 'static>(
        method: Method,
        template: &'static str,
        handler: fn(Call) -> F,
    ) -> Self {
        Self { method, template, handler: Arc::new(move |call| handler(call).boxed()) }
    }

    /// Whether the path is this endpoint's, whatever the method.
    pub(crate) fn is_at(&self, path: &str) -> bool {
        path::captures(self.template, path).is_some()
    }

    /// The methods it answers; what can be got can be asked for its head.
    pub(crate) fn methods(&self) -> &'static [&'static str] {
        match self.method {
            Method::GET => &["GET", "HEAD"],
            Method::PUT => &["PUT"],
            _ => &["POST"],
        }
    }

    /// The endpoint as a filter that rejects every other request.
    pub(crate) fn filter(&self, shared: &Arc<Shared>) -> BoxedFilter<(Response,)> {
        let (methods, template) = (self.methods(), self.template);
        let captures = move |path: FullPath, method: Method| {
            let captures = path::captures(template, path.as_str()).filter(|_| methods.contains(&method.as_str()));
            ready(captures.ok_or_else(warp::reject::not_found))
        };
        let (handler, shared) = (Arc::clone(&self.handler), Arc::clone(shared));
        warp::path::full()
            .and(warp::method())
            .and_then(captures)
            .and(warp::query::raw().map(Some).or_else(|_| ready(Ok::<_, Rejection>((None,)))))
            .and(warp::header::headers_cloned())
            .and(warp::body::stream())
            .then(move |captures, query, headers, chunks| {
                let call = Call { shared: Arc::clone(&shared), captures, query, headers, body: body::stream(chunks) };
                handler(call).map(|answer| answer.unwrap_or_else(ApiError::into_response))
            })
            .boxed()
    }
}
