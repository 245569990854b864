//! How a worker process writes its log: one line an event, which ends with what job it is of. Which events are written is the
//! filter's to say.

use std::fmt;

use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields, MakeWriter,
        format::{Format, Writer},
    },
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::layers::about::write_job;

/// Logs what `filter` lets through to `writer`, for the rest of the process.
///
/// # Panics
/// When the process logs already.
pub fn log(filter: EnvFilter, writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static) {
    subscriber(filter, writer).init();
}

fn subscriber(
    filter: EnvFilter,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> impl Subscriber + Into<Dispatch> {
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .event_format(OfJob(Format::default().with_ansi(false)))
        .with_writer(writer)
        .finish()
}

/// The line that the library writes, and behind it the job.
struct OfJob(Format);

impl<S, N> FormatEvent<S, N> for OfJob
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(ctx, Writer::new(&mut line), event)?;
        line.truncate(line.trim_end_matches('\n').len());
        write_job(&mut line)?;
        writeln!(writer, "{line}")
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
        time::{Duration, Instant},
    };

    use apalis_core::{error::BoxDynError, task::Task};
    use jobs::{
        JobId, StationId,
        queue::{Claimed, Fate},
    };
    use tower::{Layer, Service, service_fn};

    use super::*;
    use crate::{
        flights::{Boarded, Flights, sample},
        layers::about::AboutLayer,
    };

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn claimed(trace_parent: Option<&str>) -> Claimed {
        let mut claimed = sample::claimed(&"default".into(), "chat.post", Some(StationId(3)));
        (claimed.held.key, claimed.held.attempt) = (42, 2);
        claimed.id = JobId::new(42, claimed.enqueued_at);
        claimed.trace_parent = trace_parent.map(ToOwned::to_owned);
        claimed
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_line_says_what_job_it_is_of_and_is_one_line_whatever_came_from_outside() {
        let page = Page::default();
        let lines = page.clone();
        let _logging = tracing::subscriber::set_default(subscriber(EnvFilter::new("info"), move || lines.clone()));
        let mut handlers = AboutLayer.layer(service_fn(async |_: Task<Boarded>| {
            tracing::info!(channel = "c1", "posted");
            tracing::debug!("not asked for");
            Ok::<_, BoxDynError>(Fate::Done(None))
        }));
        for trace_parent in [None, Some("00-1-2-01\nERROR forged")] {
            let boarded = Flights::default().board(vec![claimed(trace_parent)], |_| Duration::ZERO, Instant::now());
            for (claimed, flight) in boarded {
                handlers.call(Task::new(Boarded { claimed, flight, room: None, slot: None })).await.unwrap();
            }
        }
        tracing::info!("of no job");
        let page = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = page.lines().collect();
        let of_job = r#"posted channel="c1" job.id=019cb73d-3218-7000-8000-00000000002a job.kind=chat.post job.attempt=2 station.id=3"#;
        assert_eq!(lines.len(), 3, "{page}");
        assert!(lines[0].contains(" INFO ") && lines[0].ends_with(of_job), "{page}");
        assert!(lines[1].ends_with(&format!(r#"{of_job} trace.parent="00-1-2-01\nERROR forged""#)), "{page}");
        assert!(lines[2].ends_with("of no job"), "{page}");
    }
}
