//! Bodies of requests: what a client sends slowly is waited for before the request has a seat at the API server.
//!
//! The beginning of a body, which is all of nearly every one, is read first. What is longer has to go on at a good pace:
//! its request has a seat already, which nobody may keep by sending a byte now and then.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::{Sleep, sleep, timeout};
use tower::BoxError;

use crate::body::Body;

/// How much is read before a seat is taken, in bytes.
const BEGINNING: usize = 256 << 10;
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the rest may take.
const REST: Duration = Duration::from_secs(10);

/// A body came too slowly.
#[derive(Debug, thiserror::Error)]
#[error("the body did not come in time")]
pub(crate) struct TooSlow;

/// A body whose beginning is here.
pub(crate) struct Upload {
    beginning: VecDeque<Frame<Bytes>>,
    /// What is behind it; nothing once that has ended.
    rest: Option<Body>,
    /// How long the rest may take, and until when it has to be here, once the beginning is gone.
    within: Duration,
    late: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    /// Reads the beginning of a body.
    ///
    /// # Errors
    /// Those of the body, or [`TooSlow`].
    pub(crate) async fn begin(body: Body) -> Result<Self, BoxError> {
        Self::begin_within(body, PATIENCE, REST).await
    }

    async fn begin_within(mut body: Body, patience: Duration, rest: Duration) -> Result<Self, BoxError> {
        let mut beginning = VecDeque::new();
        let read = async {
            let mut length = 0_usize;
            while length < BEGINNING {
                let Some(frame) = body.frame().await.transpose()? else { return Ok(true) };
                length = length.saturating_add(frame.data_ref().map_or(0, Bytes::len));
                beginning.push_back(frame);
            }
            Ok::<_, BoxError>(false)
        };
        let whole = timeout(patience, read).await.map_err(|_| TooSlow)??;
        Ok(Self { beginning, rest: (!whole).then_some(body), within: rest, late: None })
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(frame) = self.beginning.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(rest).poll_frame(context) {
            if frame.is_none() {
                self.rest = None;
            }
            return Poll::Ready(frame);
        }
        let within = self.within;
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(within)));
        ready!(late.as_mut().poll(context));
        Poll::Ready(Some(Err(TooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.beginning.is_empty() && self.rest.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let here = self.beginning.iter().filter_map(Frame::data_ref);
        let here = here.fold(0_u64, |sum, data| sum.saturating_add(data.len() as u64));
        let rest = self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint);
        match rest.exact() {
            Some(rest) => SizeHint::with_exact(here.saturating_add(rest)),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Full, StreamBody};
    use tokio::sync::mpsc;

    use super::*;

    /// A body, and what sends its pieces.
    fn channel() -> (mpsc::Sender<usize>, Body) {
        let (sender, pieces) = mpsc::channel::<usize>(1);
        let frames = futures::stream::unfold(pieces, async |mut pieces| {
            let piece = Bytes::from(vec![0; pieces.recv().await?]);
            Some((Ok::<_, BoxError>(Frame::data(piece)), pieces))
        });
        (sender, Body::new(StreamBody::new(Box::pin(frames))))
    }

    #[tokio::test]
    async fn a_short_body_is_here_before_it_goes_on() {
        let body = Body::new(Full::new(Bytes::from_static(b"whole")).map_err(|never| match never {}));
        let upload = Upload::begin(body).await.unwrap();
        assert_eq!((http_body::Body::size_hint(&upload).exact(), upload.rest.is_none()), (Some(5), true));
        assert_eq!(upload.collect().await.unwrap().to_bytes(), "whole");
        let (sender, body) = channel();
        let begun = tokio::spawn(Upload::begin(body));
        sender.send(10).await.unwrap();
        sender.send(10).await.unwrap();
        assert!(!begun.is_finished(), "there may be more");
        drop(sender);
        let upload = begun.await.unwrap().unwrap();
        assert_eq!(upload.collect().await.unwrap().to_bytes().len(), 20);
    }

    #[tokio::test]
    async fn who_sends_slowly_is_not_waited_for_without_end() {
        const SHORT: Duration = Duration::from_millis(20);
        const LONG: Duration = Duration::from_secs(30);
        let (sender, body) = channel();
        let begun = tokio::spawn(Upload::begin_within(body, SHORT, LONG));
        sender.send(10).await.unwrap();
        let late = begun.await.unwrap().map(drop).unwrap_err();
        assert!(late.is::<TooSlow>(), "{late}");

        let (sender, body) = channel();
        let begun = tokio::spawn(Upload::begin_within(body, LONG, SHORT));
        sender.send(BEGINNING).await.unwrap();
        let mut upload = begun.await.unwrap().unwrap();
        assert_eq!(upload.frame().await.unwrap().unwrap().into_data().unwrap().len(), BEGINNING);
        // Something comes all the time, and still it ends.
        let trickle = tokio::spawn(async move {
            while sender.send(1).await.is_ok() {
                sleep(SHORT / 10).await;
            }
        });
        let late = loop {
            if let Err(late) = upload.frame().await.unwrap() {
                break late;
            }
        };
        assert!(late.is::<TooSlow>(), "{late}");
        drop(upload);
        trickle.await.unwrap();
    }
}
