//! Bodies on their way: counted, paced, and not waited for without end.
//!
//! A long answer is carried by a task of its own. When the client does not take a piece of it within its patience, the task
//! ends, and with it the connection to the API server: what a slow reader holds is here one piece, and there nothing.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tower::BoxError;

use crate::limits::Place;
use crate::seating::Held;

/// A body that comes from or goes to anywhere.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Up to so many bytes an answer needs no task of its own.
const SMALL: u64 = 64 << 10;
/// How long an answer's seat at the API server waits for the client in all: what takes longer is the client's own time.
const SEAT_WAITS: Duration = Duration::from_millis(250);

/// How many bytes a tenant gets in a second, and at once after a pause.
pub(crate) struct Pace(DefaultDirectRateLimiter, NonZeroU32);

impl Pace {
    /// So many a second. At once it is at least 1 MiB, more than one piece ever has.
    pub(crate) fn per_second(bytes: NonZeroU32) -> Self {
        let burst = bytes.max(NonZeroU32::MIN.saturating_add((1 << 20) - 1));
        Self(RateLimiter::direct(Quota::per_second(bytes).allow_burst(burst)), burst)
    }

    /// Waits until a piece of this length may go on.
    async fn take(&self, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        if let Some(length) = NonZeroU32::new(length) {
            // INVARIANT: the error is for more than the burst.
            let _fits = self.0.until_n_ready(length.min(self.1)).await;
        }
    }
}

/// How an answer is carried.
pub(crate) struct Carriage {
    /// How long the client may take for one piece.
    pub(crate) patience: Duration,
    pub(crate) pace: Option<Arc<Pace>>,
    /// What is held as long as the answer goes on.
    pub(crate) place: Place,
    /// Held as long as the API server works at the answer.
    pub(crate) seat: Option<Held>,
    pub(crate) bytes: Counter,
    /// Counts the answers that were cut off.
    pub(crate) slow: Counter,
}

impl Carriage {
    /// Carries the API server's answer to the client.
    pub(crate) fn carry<B>(self, body: B) -> Body
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        if body.size_hint().upper().is_some_and(|most| most <= SMALL) && self.pace.is_none() {
            return Body::new(Short { body, place: self.place, bytes: self.bytes });
        }
        let hint = body.size_hint();
        let (sender, pieces) = mpsc::channel(1);
        tokio::spawn(self.run(body, sender));
        Body::new(Carried { pieces, hint })
    }

    async fn run<B>(mut self, mut body: B, sender: mpsc::Sender<Piece>)
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        let mut seat = Seated { seat: self.seat.take(), left: SEAT_WAITS };
        loop {
            let piece = tokio::select! {
                () = sender.closed() => return,
                frame = body.frame() => match frame {
                    Some(Ok(frame)) => Piece::Frame(frame),
                    Some(Err(error)) => Piece::Failed(error.into()),
                    None => Piece::End,
                },
            };
            if let Piece::Frame(frame) = &piece {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.bytes.inc_by(length as u64);
                self.place.count(length as u64);
                if let Some(pace) = &self.pace {
                    seat.wait(pace.take(length)).await;
                }
            }
            let last = !matches!(piece, Piece::Frame(_));
            match seat.wait(tokio::time::timeout(self.patience, sender.send(piece))).await {
                Ok(Ok(())) if !last => {}
                Ok(_) => return,
                Err(_) => {
                    self.slow.inc();
                    return;
                }
            }
        }
    }
}

/// An answer's seat at the API server, which waits for the client a little.
struct Seated {
    seat: Option<Held>,
    left: Duration,
}

impl Seated {
    /// Waits for something that is not the API server's work.
    async fn wait<F: Future>(&mut self, other: F) -> F::Output {
        let mut other = std::pin::pin!(other);
        if self.seat.is_some() {
            let begun = Instant::now();
            if let Ok(output) = tokio::time::timeout(self.left, &mut other).await {
                self.left = self.left.saturating_sub(begun.elapsed());
                return output;
            }
            self.seat = None;
        }
        other.await
    }
}

/// What a task says of an answer. An end that is not said is none: it was cut off.
enum Piece {
    Frame(Frame<Bytes>),
    Failed(BoxError),
    End,
}

struct Carried {
    pieces: mpsc::Receiver<Piece>,
    hint: SizeHint,
}

impl http_body::Body for Carried {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.pieces.poll_recv(context).map(|piece| match piece {
            Some(Piece::Frame(frame)) => Some(Ok(frame)),
            Some(Piece::Failed(error)) => Some(Err(error)),
            Some(Piece::End) => None,
            None => Some(Err("the answer was not read in time and is cut off".into())),
        })
    }

    fn size_hint(&self) -> SizeHint {
        // Only what is exact matters: it is the length that the answer says.
        self.hint.exact().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// A short answer, and what is held meanwhile. The API server is done with it.
struct Short<B> {
    body: B,
    place: Place,
    bytes: Counter,
}

impl<B> http_body::Body for Short<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.bytes.inc_by(length);
            self.place.count(length);
        }
        polled.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
