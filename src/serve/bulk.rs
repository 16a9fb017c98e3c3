//! A bulk body, NDJSON, as it comes in: each line is read when it is whole, so that of 64 MiB no more waits than one line.
//! What is too long is refused where it stands, by the number of its line, and nothing behind it is read.

use axum::extract::Request;
use kiez_protocol::directory::ImportLine;
use kiez_protocol::refusal::{Code, Fault};

use super::depth;
use super::problem::{Arriving, Refusal};
use crate::config::Limits;
use crate::import::{self, LineFault};

/// So many lines that are wrong are named; behind them nothing is read.
const FAULTS_MAX: usize = 100;

/// The documents of a body, if all of them can be taken.
///
/// # Errors
/// [`Code::TooLarge`] for a body, a line or a nesting beyond its limit, [`Code::BadRequest`] for what is not UTF-8, each with
/// the line; [`Code::Invalid`] with every line that does not fit; [`Code::RequestTimeout`].
pub async fn documents(request: Request, limits: &Limits) -> Result<Vec<ImportLine>, Refusal> {
    let mut arriving = Arriving::of(request, limits.import_bytes_max)?;
    let mut lines = Lines { limits, waiting: Vec::new(), number: 0, documents: Vec::new(), faults: Vec::new() };
    loop {
        let part = arriving.part(limits).await.map_err(|refusal| match refusal.code() {
            Code::TooLarge => Refusal::param(Code::TooLarge, lines.next(), refusal.detail()),
            _ => refusal,
        })?;
        match part {
            Some(part) => lines.take(&part)?,
            None => return lines.end(),
        }
    }
}

struct Lines<'l> {
    limits: &'l Limits,
    /// The beginning of a line whose end has not come.
    waiting: Vec<u8>,
    /// Lines that are whole.
    number: usize,
    /// The documents, each with its line.
    documents: Vec<(usize, ImportLine)>,
    faults: Vec<LineFault>,
}

impl Lines<'_> {
    /// The line that is being read, as a refusal names it.
    fn next(&self) -> String {
        format!("line {}", self.number + 1)
    }

    fn take(&mut self, mut part: &[u8]) -> Result<(), Refusal> {
        while let Some(end) = part.iter().position(|byte| *byte == b'\n') {
            let (rest, behind) = (&part[..end], &part[end + 1..]);
            part = behind;
            if self.waiting.is_empty() {
                self.line(rest)?;
            } else {
                self.gather(rest)?;
                let line = std::mem::take(&mut self.waiting);
                self.line(&line)?;
            }
        }
        self.gather(part)
    }

    fn gather(&mut self, part: &[u8]) -> Result<(), Refusal> {
        // A carriage return before the end is not the line's own.
        self.fits(self.waiting.len() + part.len(), self.limits.import_line_bytes_max + 1)?;
        self.waiting.extend_from_slice(part);
        Ok(())
    }

    fn fits(&self, len: usize, bytes_max: usize) -> Result<(), Refusal> {
        if len <= bytes_max {
            return Ok(());
        }
        let detail = format!("has more than {} bytes", self.limits.import_line_bytes_max);
        Err(Refusal::param(Code::TooLarge, self.next(), detail))
    }

    /// A line that is whole.
    fn line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.fits(line.len(), self.limits.import_line_bytes_max)?;
        if depth::exceeds(line, self.limits.json_depth_max) {
            let detail = format!("is nested deeper than {} levels", self.limits.json_depth_max);
            return Err(Refusal::param(Code::TooLarge, self.next(), detail));
        }
        let not_text = |_| Refusal::param(Code::BadRequest, self.next(), "is not UTF-8");
        let text = std::str::from_utf8(line).map_err(not_text)?;
        self.number += 1;
        match import::line(self.number, text) {
            None => {}
            Some(Ok(document)) => self.documents.push((self.number, document)),
            Some(Err(fault)) => self.faults.push(fault),
        }
        if self.faults.len() >= FAULTS_MAX { Err(self.refusal()) } else { Ok(()) }
    }

    fn end(mut self) -> Result<Vec<ImportLine>, Refusal> {
        let last = std::mem::take(&mut self.waiting);
        self.line(&last)?;
        let (numbers, mut documents): (Vec<usize>, Vec<ImportLine>) =
            std::mem::take(&mut self.documents).into_iter().unzip();
        let unfit = import::settle(&mut documents).into_iter();
        self.faults.extend(unfit.map(|(index, what)| LineFault { line: numbers[index], what, is_too_long: false }));
        if self.faults.is_empty() { Ok(documents) } else { Err(self.refusal()) }
    }

    fn refusal(&mut self) -> Refusal {
        self.faults.sort_by_key(|fault| fault.line);
        let fault = |fault: LineFault| Fault { param: format!("line {}", fault.line), detail: fault.what };
        Refusal::faults(self.faults.drain(..).take(FAULTS_MAX).map(fault).collect())
    }
}
