//! A partner's side of the wire: jobs in, their state out. A post is repeated with the same key until its answer is
//! known, so that a lost reply never becomes a second job.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use kiez_protocol::ids::JobId;
use kiez_protocol::partner::{CancelJob, EditJob, JobList, JobState, JobView, PackageList, PostJob};
use kiez_protocol::refusal::Code;
use tokio::time::Instant;

use super::http::{CallError, Http};

/// A partner of one server.
#[derive(Clone, Debug)]
pub struct PartnerClient {
    http: Http,
    /// For how long a call is repeated, ms.
    patience_ms: u64,
    /// Calls that were made again.
    repeats: Arc<AtomicU64>,
}

impl PartnerClient {
    /// A partner with the key that `http` carries. Calls are repeated for up to `patience_ms` while the server is away or
    /// says 503.
    pub fn new(http: Http, patience_ms: u64) -> PartnerClient {
        PartnerClient { http, patience_ms, repeats: Arc::default() }
    }

    /// Calls that were made again so far, because no answer came or one that asked to wait.
    pub fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }

    /// Posts a job under an idempotency key of at most 255 characters and waits for the answer.
    ///
    /// # Errors
    /// See [`CallError`]; [`CallError::NoAnswer`] means that the job may or may not exist.
    pub async fn post(&self, job: &PostJob, key: &str) -> Result<JobView, CallError> {
        self.patiently(|| self.http.call(Method::POST, "/v1/jobs", Some(key), Some(job))).await
    }

    /// One job.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn job(&self, job: JobId) -> Result<JobView, CallError> {
        let path = format!("/v1/jobs/{job}");
        self.patiently(|| self.http.call(Method::GET, &path, None, None::<&()>)).await
    }

    /// A page of jobs, newest first.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn jobs(
        &self,
        state: Option<JobState>,
        limit: Option<u16>,
        after: Option<JobId>,
    ) -> Result<JobList, CallError> {
        let state = state.map(|state| format!("state={}", word(state)));
        let limit = limit.map(|limit| format!("limit={limit}"));
        let after = after.map(|after| format!("after={after}"));
        let query: Vec<String> = [state, limit, after].into_iter().flatten().collect();
        let path = format!("/v1/jobs?{}", query.join("&"));
        self.patiently(|| self.http.call(Method::GET, &path, None, None::<&()>)).await
    }

    /// Cancels a job. A repeat that finds it cancelled already counts as done.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn cancel(&self, job: JobId, reason: Option<&str>) -> Result<JobView, CallError> {
        let body = CancelJob { reason: reason.map(str::to_owned) };
        let path = format!("/v1/jobs/{job}/cancel");
        let answer = self.patiently(|| self.http.call(Method::POST, &path, None, Some(&body))).await;
        if answer.as_ref().is_err_and(|fault| fault.code() == Some(Code::WrongState)) {
            let found = self.job(job).await?;
            if found.state == JobState::Cancelled {
                return Ok(found);
            }
        }
        answer
    }

    /// Changes a job.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn edit(&self, job: JobId, edit: &EditJob) -> Result<JobView, CallError> {
        let path = format!("/v1/jobs/{job}");
        self.patiently(|| self.http.call(Method::PATCH, &path, None, Some(edit))).await
    }

    /// All packages.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn packages(&self) -> Result<PackageList, CallError> {
        self.patiently(|| self.http.call(Method::GET, "/v1/packages", None, None::<&()>)).await
    }

    async fn patiently<A, C>(&self, call: impl Fn() -> C) -> Result<A, CallError>
    where
        C: Future<Output = Result<A, CallError>>,
    {
        let made = AtomicU64::new(0);
        let counted = || {
            self.repeats.fetch_add(u64::from(made.fetch_add(1, Ordering::Relaxed) > 0), Ordering::Relaxed);
            call()
        };
        patiently(Duration::from_millis(self.patience_ms), counted).await
    }
}

/// Repeats a call that is safe to repeat until it is answered for good or patience ends; then the last fault.
pub(super) async fn patiently<A, C>(patience: Duration, call: impl Fn() -> C) -> Result<A, CallError>
where
    C: Future<Output = Result<A, CallError>>,
{
    let end = Instant::now() + patience;
    loop {
        let answer = call().await;
        let Some(wait) = answer.as_ref().err().and_then(CallError::retry_in) else { return answer };
        if Instant::now() + wait > end {
            return answer;
        }
        tokio::time::sleep(wait).await;
    }
}

fn word(state: JobState) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("a state is a word on the wire, not {other:?}"),
    }
}
