//! Reading a request's body: never more than the cap into memory, never longer than the deadline. What the bytes
//! mean is the route's business.

use std::{pin::Pin, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use hyper::{HeaderMap, header};
use tokio::time::timeout;

use crate::error::ApiError;

/// A body on its way in.
pub(crate) type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send + Sync>>;

/// After a body over the cap, so much more is thrown away before the answer: a sender that writes all before it
/// reads would see a reset connection otherwise, not our 413.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;
const DISCARDED_WITHIN: Duration = Duration::from_secs(1);

/// How much body, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimit {
    pub(crate) bytes_max: usize,
    pub(crate) deadline: Duration,
}

/// Makes one stream type of what warp hands out.
pub(crate) fn stream<B: Buf>(chunks: impl Stream<Item = Result<B, warp::Error>> + Send + Sync + 'static) -> BodyStream {
    Box::pin(chunks.map(|chunk| chunk.map(|mut chunk| chunk.copy_to_bytes(chunk.remaining()))))
}

/// Bodies are verified as they were sent, so only the uncompressed ones are read.
pub(crate) fn refuse_compressed(headers: &HeaderMap) -> Result<(), ApiError> {
    let plain = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if plain { Ok(()) } else { Err(ApiError::ContentEncoding) }
}

/// The whole body.
pub(crate) async fn read(mut chunks: BodyStream, limit: BodyLimit) -> Result<Bytes, ApiError> {
    let whole = timeout(limit.deadline, collect(&mut chunks, limit.bytes_max)).await;
    let whole = whole.unwrap_or(Err(ApiError::BodyTooSlow(limit.deadline)));
    if matches!(whole, Err(ApiError::BodyTooLarge { .. })) {
        // Whether it ended in time makes no difference to the answer.
        let _ = timeout(DISCARDED_WITHIN, discard(&mut chunks)).await;
    }
    whole
}

async fn collect(chunks: &mut BodyStream, bytes_max: usize) -> Result<Bytes, ApiError> {
    let mut whole = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| ApiError::BodyAborted)?;
        if whole.len() + chunk.len() > bytes_max {
            return Err(ApiError::BodyTooLarge { bytes_max });
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

async fn discard(chunks: &mut BodyStream) {
    let mut bytes = 0;
    while let Some(Ok(chunk)) = chunks.next().await {
        bytes += chunk.len();
        if bytes > DISCARDED_BYTES_MAX {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    const LIMIT: BodyLimit = BodyLimit { bytes_max: 8, deadline: Duration::from_secs(10) };

    fn chunks(sizes: &[usize]) -> BodyStream {
        let chunks: Vec<_> = sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect();
        Box::pin(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_of_exactly_the_cap_is_read_and_one_byte_more_is_not() {
        assert_eq!(read(chunks(&[5, 3]), LIMIT).await.unwrap().len(), 8);
        assert!(matches!(read(chunks(&[5, 4]), LIMIT).await, Err(ApiError::BodyTooLarge { bytes_max: 8 })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up_at_the_deadline() {
        let drip = stream::unfold((), |()| async {
            tokio::time::advance(Duration::from_secs(3)).await;
            Some((Ok(Bytes::from_static(b"x")), ()))
        });
        assert!(matches!(read(Box::pin(drip), LIMIT).await, Err(ApiError::BodyTooSlow(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_body_over_the_cap_is_answered_after_a_bounded_wait() {
        let endless = stream::once(async { Ok(Bytes::from_static(b"over the cap")) }).chain(stream::pending());
        let began = tokio::time::Instant::now();
        assert!(matches!(read(Box::pin(endless), LIMIT).await, Err(ApiError::BodyTooLarge { .. })));
        assert_eq!(began.elapsed().as_secs(), DISCARDED_WITHIN.as_secs());
    }

    #[test]
    fn only_identity_is_no_compression() {
        let coded =
            |coding| HeaderMap::from_iter([(header::CONTENT_ENCODING, header::HeaderValue::from_static(coding))]);
        assert!(refuse_compressed(&HeaderMap::new()).is_ok());
        assert!(refuse_compressed(&coded("Identity")).is_ok());
        assert!(refuse_compressed(&coded("gzip")).is_err());
    }
}
