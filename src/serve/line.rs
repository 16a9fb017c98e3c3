//! A connection as it was accepted, with a deadline for what it may wait for: the head of a request, and the peer's taking
//! of an answer. Whoever sends or reads one byte a second is gone when the time is up, however often a byte came. The
//! pause between two requests is hyper's to time, which alone knows when it begins; bodies are timed where they are read;
//! a WebSocket takes the stream out and keeps its own time.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;
use tokio::time::Sleep;

use super::places::Place;

/// A goodbye waits so long for the other side to close, so that what it has not read yet is not lost to a reset.
const LINGER: Duration = Duration::from_secs(1);
/// A goodbye reads and drops at most this much of what was still on its way, bytes.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// How long things may take on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the connection, or the first byte of a request, to the last of its head.
    pub head: Duration,
    /// From the moment an answer has to wait for the peer until all of it is taken.
    pub write: Duration,
}

/// Whose turn it is. The connection and the service it carries share it.
#[derive(Clone, Debug)]
pub struct Turn(Arc<State>);

#[derive(Debug)]
struct State {
    phase: AtomicU8,
    changed: AtomicBool,
}

/// Nothing of the next request has come.
const IDLE: u8 = 0;
/// A part of a request's head has come, or the first is still to come.
const HEAD: u8 = 1;
/// The request is being answered.
const ANSWERING: u8 = 2;

impl Turn {
    /// The head is here: the server answers, and the peer owes nothing but a body.
    pub fn begins(&self) {
        self.enter(ANSWERING);
    }

    /// The answer is ready: the peer may ask again.
    pub fn ends(&self) {
        self.enter(IDLE);
    }

    fn enter(&self, phase: u8) {
        self.0.phase.store(phase, Ordering::Relaxed);
        self.0.changed.store(true, Ordering::Relaxed);
    }
}

/// A connection with its place and its deadlines.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    place: Place,
    deadlines: Deadlines,
    turn: Turn,
    reading: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
    // Set once our side has said that nothing more comes; then only the other side's end is awaited.
    ending: Option<Pin<Box<Sleep>>>,
    dropped: usize,
}

impl Line {
    /// A connection whose first request is awaited.
    pub fn new(stream: TcpStream, place: Place, deadlines: Deadlines) -> (Line, Turn) {
        let state = State { phase: AtomicU8::new(HEAD), changed: AtomicBool::new(false) };
        let turn = Turn(Arc::new(state));
        let line = Line {
            stream,
            place,
            deadlines,
            turn: turn.clone(),
            reading: None,
            writing: None,
            ending: None,
            dropped: 0,
        };
        (line, turn)
    }

    /// The bare stream, for who keeps time in another way. The place stays taken as long as it is held.
    pub fn into_stream(self) -> (TcpStream, Place) {
        (self.stream, self.place)
    }

    /// Says that nothing more comes, and lets the other side read it.
    pub async fn end(mut self) {
        // A peer that has gone needs no goodbye.
        let _ = std::future::poll_fn(|cx| Pin::new(&mut self).poll_shutdown(cx)).await;
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.turn.0.changed.swap(false, Ordering::Relaxed) {
            self.reading = None;
        }
        if self.turn.0.phase.load(Ordering::Relaxed) != HEAD {
            return Poll::Pending;
        }
        let time = self.deadlines.head;
        poll_deadline(self.reading.get_or_insert_with(|| Box::pin(tokio::time::sleep(time))), cx)
            .map(|()| io::Error::new(io::ErrorKind::TimedOut, "no request in time"))
    }

    /// What a write has come to; while the peer does not take it, the deadline runs, and it is not set back by a part.
    fn written<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            return poll;
        }
        let time = self.deadlines.write;
        poll_deadline(self.writing.get_or_insert_with(|| Box::pin(tokio::time::sleep(time))), cx)
            .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the answer is not taken")))
    }
}

/// Whether the time is up. A busy peer uses up what a task may do in one turn; its deadline must be seen all the same.
pub(super) fn poll_deadline(sleep: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) -> Poll<()> {
    Pin::new(&mut unconstrained(sleep.as_mut())).poll(cx)
}

/// Reads and drops what was still on its way until the other side ends, or has sent too much: to close while something is
/// unread would reset the connection, and take what was said last along.
pub(super) fn poll_drained(stream: &mut TcpStream, cx: &mut Context<'_>, dropped: &mut usize) -> Poll<()> {
    // On the stack, and not in what a connection keeps for as long as it lives.
    let mut bytes = [0; 2_048];
    while *dropped < LINGER_BYTES_MAX {
        let mut buf = ReadBuf::new(&mut bytes);
        match Pin::new(&mut *stream).poll_read(cx, &mut buf) {
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => *dropped += buf.filled().len(),
            Poll::Ready(_) => return Poll::Ready(()),
            Poll::Pending => return Poll::Pending,
        }
    }
    Poll::Ready(())
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(read) => {
                if buf.filled().len() > before && this.turn.0.phase.load(Ordering::Relaxed) == IDLE {
                    this.turn.enter(HEAD);
                }
                Poll::Ready(read)
            }
            Poll::Pending => this.poll_late(cx).map(Err),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.written(cx, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.written(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // Asked for only when everything has been written: the peer has taken it, or the kernel has for it.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.writing = None;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ending.is_none() {
            std::task::ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.ending = Some(Box::pin(tokio::time::sleep(LINGER)));
        }
        if poll_drained(&mut this.stream, cx, &mut this.dropped).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let Some(ending) = &mut this.ending else { return Poll::Ready(Ok(())) };
        poll_deadline(ending, cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::places::Places;
    use super::*;

    const SHORT: Duration = Duration::from_millis(60);
    const LONG: Duration = Duration::from_secs(30);

    async fn pair(deadlines: Deadlines) -> (Line, Turn, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let peer = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connects");
        let (stream, _) = listener.accept().await.expect("accepted");
        let place = Places::default().take(1).expect("a place");
        let (line, turn) = Line::new(stream, place, deadlines);
        (line, turn, peer)
    }

    #[tokio::test]
    async fn a_head_in_single_bytes_is_not_waited_for() {
        let (mut line, turn, mut peer) = pair(Deadlines { head: SHORT, write: LONG }).await;
        let slow = tokio::spawn(async move {
            while peer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let error = line.read_to_end(&mut Vec::new()).await.expect_err("the time is up");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // While the server answers, the peer owes nothing; after that, it may be idle.
        turn.begins();
        assert!(tokio::time::timeout(SHORT * 2, line.read_to_end(&mut Vec::new())).await.is_err());
        drop(line);
        slow.await.expect("ends");
    }

    #[tokio::test]
    async fn the_next_head_has_its_time_from_its_first_byte() {
        let (mut line, turn, mut peer) = pair(Deadlines { head: SHORT, write: LONG }).await;
        let mut byte = [0];
        peer.write_all(b"G").await.expect("written");
        line.read_exact(&mut byte).await.expect("the first request has come");
        turn.begins();
        turn.ends();
        assert!(tokio::time::timeout(SHORT * 2, line.read_exact(&mut byte)).await.is_err(), "between two requests");
        peer.write_all(b"G").await.expect("written");
        line.read_exact(&mut byte).await.expect("the next has begun");
        let error = line.read_exact(&mut byte).await.expect_err("and does not go on");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn an_answer_that_is_read_byte_by_byte_is_given_up() {
        let (mut line, _, mut peer) = pair(Deadlines { head: LONG, write: SHORT }).await;
        let slow = tokio::spawn(async move {
            let mut byte = [0];
            while peer.read_exact(&mut byte).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let large = vec![0; 64 << 20];
        let error = line.write_all(&large).await.expect_err("the time is up");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(line);
        slow.abort();
    }

    #[tokio::test]
    async fn a_goodbye_is_read_although_the_peer_was_still_sending() {
        let (mut line, _, mut peer) = pair(Deadlines { head: LONG, write: LONG }).await;
        peer.write_all(&[7; 100_000]).await.expect("written");
        line.write_all(b"no").await.expect("written");
        let ending = tokio::spawn(line.end());
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).await.expect("no reset");
        assert_eq!(heard, b"no");
        drop(peer);
        tokio::time::timeout(LINGER, ending).await.expect("ends with the peer").expect("ends");
    }
}
