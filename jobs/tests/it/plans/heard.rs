//! Hears plans: the server's `auto_explain` tells of every statement that has run, as a notice to whoever sent it, and the
//! driver hands notices on as events. So what is judged is what was sent, with its parameters and its rights.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use jobs::testing::TestDatabase;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};

use super::plan::Plan;

/// Tells the application's sessions, from now on, to explain what they did; the owner's, which prepare things, don't.
pub(super) async fn explain(base: &TestDatabase) {
    base.execute(
        "do $$
        declare
            setting text;
        begin
            foreach setting in array array['session_preload_libraries = auto_explain', 'auto_explain.log_min_duration = 0',
                'auto_explain.log_analyze = on', 'auto_explain.log_buffers = on', 'auto_explain.log_timing = off',
                'auto_explain.log_format = json', 'auto_explain.log_level = notice'] loop
                execute format('alter role vtoc_test_app in database %I set %s', current_database(), setting);
            end loop;
        end
        $$",
    )
    .await;
}

/// What was heard on this thread and not taken yet.
pub(super) struct Ear {
    notices: Arc<Mutex<Vec<String>>>,
    _listening: DefaultGuard,
}

impl Ear {
    pub(super) fn new() -> Self {
        let notices = Arc::default();
        let listening = tracing::subscriber::set_default(Notices(Arc::clone(&notices)));
        Self { notices, _listening: listening }
    }

    /// The plans of what has run since they were last taken.
    pub(super) fn take(&self) -> Vec<Plan> {
        let notices = std::mem::take(&mut *self.notices.lock().unwrap());
        notices.iter().filter_map(|notice| Some(Plan::read(notice.split_once("plan:\n")?.1))).collect()
    }
}

struct Notices(Arc<Mutex<Vec<String>>>);

impl Subscriber for Notices {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::postgres::notice"
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Message(&self.0));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Message<'a>(&'a Mutex<Vec<String>>);

impl Visit for Message<'_> {
    fn record_str(&mut self, field: &Field, text: &str) {
        if field.name() == "message" {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
