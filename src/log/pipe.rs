//! The way of a line to whoever reads the log. A line is put behind those that wait and nobody waits for it to be
//! written: one thread writes. So many bytes may wait and no more: when the reader does not read, newer lines are dropped
//! and counted, the server goes on, and when the reader is back it is told how many are missing.
//!
//! Ours and not tracing-appender's: that one counts lines, each an allocation of its own, and when its queue is full it
//! can no longer be asked to write what is in it.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kiez::metrics;

/// A buffer that is larger than this gives memory back when it is empty, bytes.
const KEPT_BYTES: usize = 64 * 1024;

/// What waits for the one thread that writes.
#[derive(Debug)]
pub struct Pipe {
    bytes_max: usize,
    state: Mutex<State>,
    /// Lines have come, or all have been written.
    turn: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines dropped since the reader was last told.
    missing: u64,
    /// The writer has nothing to do.
    idle: bool,
}

impl Pipe {
    /// A pipe that writes to `out`; at most `bytes_max` wait.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub fn start(out: impl Write + Send + 'static, bytes_max: usize) -> io::Result<Arc<Pipe>> {
        let pipe = Arc::new(Pipe { bytes_max, state: Mutex::default(), turn: Condvar::new() });
        let writer = pipe.clone();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(out))?;
        Ok(pipe)
    }

    /// Puts a line behind those that wait, or drops it when there is no room.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.waiting.len() + line.len() > self.bytes_max {
            state.missing += 1;
            drop(state);
            return metrics::log_lines_dropped(1);
        }
        state.waiting.extend_from_slice(line);
        let asleep = std::mem::take(&mut state.idle);
        drop(state);
        if asleep {
            self.turn.notify_all();
        }
    }

    /// Waits until everything is written, or as long as it was told.
    pub fn drain(&self, patience: Duration) {
        let waits = |state: &mut State| !state.idle || !state.waiting.is_empty();
        // Whether it took too long changes nothing: the process ends.
        let _ = self.turn.wait_timeout_while(self.lock(), patience, waits);
    }

    fn write_to(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        loop {
            let missing = self.take(&mut lines);
            if out.write_all(&lines).and_then(|()| out.flush()).is_err() {
                // The reader has gone. The server has not.
                metrics::log_lines_dropped(lines.iter().filter(|byte| **byte == b'\n').count() as u64);
            }
            lines.clear();
            lines.shrink_to(KEPT_BYTES);
            if missing > 0 {
                tracing::warn!(lines = missing, "lines of this log are missing: nobody read them in time");
            }
        }
    }

    /// Takes all that waits, when there is something, and how many lines were dropped behind it.
    fn take(&self, lines: &mut Vec<u8>) -> u64 {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            state.idle = true;
            self.turn.notify_all();
            state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(lines, &mut state.waiting);
        std::mem::take(&mut state.missing)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a formatter writes with: it hands over one whole line at a time.
#[derive(Clone, Debug)]
pub struct Pen(pub Arc<Pipe>);

impl Write for Pen {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A reader who takes one write at a time, when asked.
    struct Slow(SyncSender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow(bytes_max: usize) -> (Arc<Pipe>, Receiver<Vec<u8>>) {
        let (send, receive) = sync_channel(0);
        (Pipe::start(Slow(send), bytes_max).expect("a thread"), receive)
    }

    #[test]
    fn a_reader_who_does_not_read_costs_lines_and_no_time() {
        let (pipe, reader) = slow(100);
        // One line is with the writer, ten wait, and the rest is dropped; nothing here waits for the reader.
        pipe.push(b"the first\n");
        while !pipe.lock().waiting.is_empty() {
            std::thread::yield_now();
        }
        for number in 0..50 {
            pipe.push(format!("line {number:04}\n").as_bytes());
        }
        let state = pipe.lock();
        assert_eq!((state.waiting.len(), state.missing), (100, 40));
        drop(state);
        pipe.drain(Duration::from_millis(20));
        assert_eq!(reader.recv().expect("a write"), b"the first\n");
        let rest = String::from_utf8(reader.recv().expect("a write")).expect("text");
        assert_eq!((rest.lines().count(), rest.lines().last()), (10, Some("line 0009")));
        pipe.drain(Duration::from_secs(5));
        assert_eq!(pipe.lock().missing, 0, "the reader has been told");
    }

    #[test]
    fn at_the_end_everything_has_left() {
        let (pipe, reader) = slow(1_000);
        let reads = std::thread::spawn(move || reader.recv().expect("a write"));
        pipe.push(b"the last line\n");
        pipe.drain(Duration::from_secs(5));
        assert_eq!(reads.join().expect("the reader"), b"the last line\n");
    }
}
