//! How a worker process writes its log: one line an event, with the fields of the job that it is of. Which events are written is
//! the filter's to say.

use tracing_subscriber::{
    EnvFilter,
    field::MakeExt,
    fmt::{MakeWriter, format::debug_fn},
};

/// Logs what `filter` lets through to `writer`, for the rest of the process. Every job has a span with fields; they are written
/// down plainly, which costs half of what colours that nobody sees would.
///
/// # Panics
/// When the process logs already.
pub fn log(filter: EnvFilter, writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static) {
    let fields = debug_fn(|writer, field, value| match field.name() {
        "message" => write!(writer, "{value:?}"),
        name => write!(writer, "{name}={value:?}"),
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .fmt_fields(fields.delimited(" "))
        .with_writer(writer)
        .init();
}
