//! How far ahead of its free slots a process claims: as many jobs as end while a claim is under way, so that short jobs don't
//! wait for the database. Of long jobs that is none.

use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How often the pace is taken.
const EVERY: Duration = Duration::from_millis(20);
/// Claims in whose time the jobs ahead are used up.
const CLAIMS_AHEAD: f64 = 2.0;

/// See the module.
#[derive(Debug)]
pub(crate) struct Pace {
    ahead_max: usize,
    ahead: usize,
    /// Of those, how many are to be given up.
    surplus: usize,
    taken: Instant,
    finished: u64,
    /// How long claims took of late.
    claim: Duration,
}

impl Pace {
    pub(crate) fn new(ahead_max: usize) -> Self {
        Self { ahead_max, ahead: 0, surplus: 0, taken: Instant::now(), finished: 0, claim: Duration::ZERO }
    }

    /// Jobs that may be claimed beyond the slots.
    pub(crate) fn ahead(&self) -> usize {
        self.ahead
    }

    /// How long claims take.
    pub(crate) fn claim(&self) -> Duration {
        self.claim
    }

    /// Notes how long a claim took.
    pub(crate) fn claimed_in(&mut self, took: Duration) {
        self.claim = (self.claim * 3 + took) / 4;
    }

    /// Makes room for the pace at which jobs end; `finished` counts all that ever did.
    pub(crate) fn keep(&mut self, finished: u64, room: &Semaphore) {
        let elapsed = self.taken.elapsed();
        if elapsed < EVERY {
            return;
        }
        let ended = u32::try_from(finished - self.finished).unwrap_or(u32::MAX);
        let wish = f64::from(ended) / elapsed.as_secs_f64() * self.claim.as_secs_f64() * CLAIMS_AHEAD;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "floats saturate, and it isn't negative"
        )]
        let wish = (wish as usize).min(self.ahead_max);
        if wish > self.ahead {
            room.add_permits(wish - self.ahead);
            self.ahead = wish;
        } else {
            self.ahead -= room.forget_permits(self.ahead - wish);
        }
        self.surplus = self.ahead.saturating_sub(wish);
        (self.taken, self.finished) = (Instant::now(), finished);
    }

    /// Gives up what is too much of `room`, for which a claim has waited: whatever is freed goes to who waits, and was never
    /// free to be taken back. None when nothing is left.
    pub(crate) fn shrink(&mut self, mut room: OwnedSemaphorePermit) -> Option<OwnedSemaphorePermit> {
        let surplus = self.surplus.min(room.num_permits());
        if let Some(surplus) = room.split(surplus) {
            surplus.forget();
        }
        (self.surplus, self.ahead) = (self.surplus - surplus, self.ahead - surplus);
        (room.num_permits() > 0).then_some(room)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn after(ended: u64) -> usize {
        let room = Semaphore::new(10);
        let mut pace = Pace::new(1_000);
        (0..50).for_each(|_| pace.claimed_in(Duration::from_millis(10)));
        pace.taken -= Duration::from_secs(1);
        pace.keep(ended, &room);
        assert_eq!(room.available_permits(), 10 + pace.ahead());
        pace.ahead()
    }

    #[test]
    fn of_short_jobs_what_ends_during_two_claims_is_claimed_ahead_and_of_long_ones_none() {
        assert!((380..=400).contains(&after(20_000)), "{}", after(20_000));
        assert_eq!((after(40), after(0), after(10_000_000)), (0, 0, 1_000));
    }

    #[test]
    fn room_that_is_in_use_is_taken_back_when_it_is_free() {
        let room = Semaphore::new(0);
        let mut pace = Pace::new(1_000);
        pace.ahead = 5;
        room.add_permits(2);
        pace.taken -= EVERY;
        pace.keep(0, &room);
        assert_eq!((pace.ahead(), room.available_permits()), (3, 0));
    }

    #[tokio::test]
    async fn what_goes_straight_to_a_claim_that_waits_is_taken_back_from_it() {
        let room = Arc::new(Semaphore::new(0));
        let mut pace = Pace::new(1_000);
        pace.ahead = 3;
        let waiting = tokio::spawn(Arc::clone(&room).acquire_many_owned(2));
        tokio::task::yield_now().await;
        room.add_permits(2);
        pace.taken -= EVERY;
        pace.keep(0, &room);
        assert_eq!(pace.ahead(), 3, "nothing was free");
        assert!(pace.shrink(waiting.await.unwrap().unwrap()).is_none());
        room.add_permits(2);
        let left = pace.shrink(Arc::clone(&room).acquire_many_owned(2).await.unwrap()).unwrap();
        assert_eq!((left.num_permits(), pace.ahead()), (1, 0));
        drop(left);
        assert_eq!(room.available_permits(), 1);
    }
}
