//! Friends who stand and do nothing, and what became of them.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use kiez_protocol::friend::{FriendFrame, FriendMessage};
use kiez_protocol::place::Point;
use tokio_util::sync::CancellationToken;

use crate::client::{FriendClient, FriendConfig, FriendEvent};

/// A window shorter than so many heartbeats does not hold its share of them.
const HEARTBEATS_MIN: u32 = 2;
/// What went wrong is described up to this many times.
const TROUBLES_MAX: usize = 20;

/// All who stand there.
#[derive(Debug, Default)]
pub struct Crowd {
    standing: AtomicUsize,
    broken: AtomicUsize,
    turned_away: AtomicUsize,
    heartbeat_ms: AtomicU32,
    troubles: std::sync::Mutex<Vec<String>>,
    gone: CancellationToken,
}

impl Crowd {
    pub fn standing(&self) -> usize {
        self.standing.load(Ordering::Relaxed)
    }

    pub fn troubles(&self) -> Vec<String> {
        self.troubles.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub fn someone_left(&self) -> bool {
        !self.troubles.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty()
    }

    fn trouble(&self, trouble: String) {
        let mut troubles = self.troubles.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if troubles.len() < TROUBLES_MAX {
            troubles.push(trouble);
        }
    }

    /// Connections that broke while they should have stood, and tries that did not end with a welcome.
    pub fn breaks(&self) -> (usize, usize) {
        (self.broken.load(Ordering::Relaxed), self.turned_away.load(Ordering::Relaxed))
    }

    /// Between two heartbeats of the server, ms; 0 before the first welcome.
    pub fn heartbeat_ms(&self) -> u32 {
        self.heartbeat_ms.load(Ordering::Relaxed)
    }

    /// Everybody goes.
    pub fn leave(&self) {
        self.gone.cancel();
    }

    /// Why a watch is too short, if it is.
    pub fn too_short(&self, watch: Duration) -> Option<String> {
        let heartbeat = Duration::from_millis(u64::from(self.heartbeat_ms()));
        let least = heartbeat * HEARTBEATS_MIN;
        (watch < least).then(|| {
            format!(
                "--watch {} s holds less than {HEARTBEATS_MIN} heartbeats of {} s: take at least {} s",
                watch.as_secs(),
                heartbeat.as_secs(),
                least.as_secs_f64().ceil()
            )
        })
    }
}

/// A friend who says hello, goes on duty, gives one position and stands.
pub async fn stand(config: FriendConfig, place: Point, crowd: &Crowd) {
    let mut client = FriendClient::new(config);
    let (mut duty, mut counted) = (None, false);
    loop {
        let event = tokio::select! {
            event = client.next() => event,
            () = crowd.gone.cancelled() => break,
        };
        match event {
            FriendEvent::Up { welcome, .. } => {
                crowd.heartbeat_ms.store(welcome.heartbeat_ms, Ordering::Relaxed);
                duty = Some(client.duty(true));
            }
            FriendEvent::Message(envelope) => match envelope.message {
                FriendMessage::Done { key } if duty == Some(key) => {
                    client.fix(place);
                    // Its answer comes when the position has been taken.
                    client.send(&FriendFrame::Ping { t: 1 });
                }
                FriendMessage::Pong { .. } if !counted => {
                    counted = true;
                    crowd.standing.fetch_add(1, Ordering::Relaxed);
                }
                _ => {}
            },
            FriendEvent::Down { welcomed, .. } => {
                let kind = if welcomed { &crowd.broken } else { &crowd.turned_away };
                kind.fetch_add(1, Ordering::Relaxed);
                if std::mem::take(&mut counted) {
                    crowd.standing.fetch_sub(1, Ordering::Relaxed);
                }
            }
            FriendEvent::Over { code, cause } => {
                crowd.trouble(format!("sent away: {code} {cause}"));
                return;
            }
            FriendEvent::Unknown(_) | FriendEvent::TriedAgain(_) => {}
        }
    }
    client.leave().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_holds_two_heartbeats() {
        let crowd = Crowd::default();
        crowd.heartbeat_ms.store(25_000, Ordering::Relaxed);
        assert_eq!(crowd.too_short(Duration::from_secs(60)), None);
        let refused = crowd.too_short(Duration::from_secs(30)).unwrap();
        assert!(refused.contains("at least 50 s"), "{refused}");
    }
}
