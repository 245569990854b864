//! The kind that CONTRIBUTING.md writes in an afternoon, with its tests, word for word: the page is true as long as this
//! compiles and passes. A kind of the fleet's own would be a file in `src/kinds/` and a line in its list.
#![expect(unreachable_pub, reason = "released kinds are public")]

use std::time::Duration;

use jobs::{
    inspect::State,
    kinds::{Cx, Failure, Kind, Kinds, Policy, entry, post_chat::PostChat},
    queue::Fate,
    stations::Role,
    testing::{Expected, TestDatabase, assert_enqueued, refute_enqueued, services},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use workers::testing::{Drain, Workbench};

// kind
const HOUR: Duration = Duration::from_secs(3600);

/// Says a text in a channel, hour by hour, so many times.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemindChannel {
    /// Slug of the channel.
    pub channel: String,
    /// What to say.
    pub text: String,
    /// How many times are left.
    pub times: u16,
}

impl Kind for RemindChannel {
    const NAME: &'static str = "remind_channel";
    const POLICY: Policy = Policy::effect("default");

    async fn run(self, cx: &Cx) -> Result<Fate, Failure> {
        let Some(left) = self.times.checked_sub(1) else {
            return Err(Failure::Hopeless("a reminder that is said no times".to_owned()));
        };
        let (channel, text) = (self.channel.clone(), self.text.clone());
        let mut jobs = vec![cx.follow_up(&PostChat { channel, text, thread: None, audit_id: None })?];
        if left > 0 {
            let mut again = cx.follow_up(&Self { times: left, ..self })?;
            again.delay = HOUR;
            jobs.push(again);
        }
        // Follow-ups and completion stand or fall together: a second run finds the job done, or nothing of the first.
        let mut held = cx.attempt.lock().await?;
        held.enqueue(&jobs).await?;
        held.complete(None).await?;
        Ok(Fate::Committed)
    }
}
// end of kind

// tests
#[tokio::test]
async fn a_reminder_is_posted_every_hour_as_often_as_it_says() {
    let db = TestDatabase::new().await;
    let station = db.station("toc-s1", Role::Ops).await;
    let workbench = Workbench::new(&db, Kinds::released().with(entry::<RemindChannel>()), services()).await;
    let reminder = RemindChannel { channel: "ops".to_owned(), text: "report in".to_owned(), times: 3 };

    let performed = workbench.perform_for(&station, &reminder).await;
    assert_eq!((performed.fate, performed.state), (Fate::Committed, State::Done));
    let post = Expected::of::<PostChat>().station("toc-s1").payload_with(json!({ "text": "report in" }));
    assert_enqueued(&db, post.clone().due().times(1)).await;
    let again = Expected::of::<RemindChannel>().payload_with(json!({ "times": 2 }));
    assert_enqueued(&db, again.starts_within(HOUR / 2..=HOUR)).await;

    db.advance(HOUR).await;
    assert_eq!(workbench.drain(Drain::queues(["default"])).await.len(), 1);
    workbench.drain(Drain::queues(["default"]).with_scheduled()).await;
    assert_enqueued(&db, post.times(3)).await;
    refute_enqueued(&db, Expected::of::<RemindChannel>()).await;
}

#[tokio::test]
async fn a_reminder_of_no_times_is_dead_and_posts_nothing() {
    let db = TestDatabase::new().await;
    let workbench = Workbench::new(&db, Kinds::released().with(entry::<RemindChannel>()), services()).await;
    let never = RemindChannel { channel: "ops".to_owned(), text: String::new(), times: 0 };
    let performed = workbench.perform(&never).await;
    assert_eq!(performed.fate, Fate::Dead("a reminder that is said no times".to_owned()));
    assert!(performed.enqueued.is_empty());
}
// end of tests

#[test]
fn the_page_that_explains_it_has_the_same_words() {
    let (page, file) = (include_str!("../../../CONTRIBUTING.md"), include_str!("remind_channel.rs"));
    for part in ["kind", "tests"] {
        let from = file.find(&format!("\n// {part}\n")).unwrap() + format!("\n// {part}\n").len();
        let upto = file.find(&format!("// end of {part}\n")).unwrap();
        let code = format!("```rust\n{}```", &file[from..upto]);
        assert!(page.contains(&code), "CONTRIBUTING.md has no such {part}:\n{code}");
    }
}
