//! New ids without chance: a UUIDv7 is made of the dispatcher's `now` and a counter stirred by a seed, so that the same
//! inputs give the same ids. Each start of the server brings a new seed.

use kiez_protocol::time::Time;
use uuid::{Builder, Uuid};

/// Makes ids.
#[derive(Clone, Debug)]
pub struct Mint {
    state: u64,
}

impl Mint {
    /// A mint whose ids differ from those of another seed.
    pub fn new(seed: u64) -> Mint {
        Mint { state: seed }
    }

    /// The next id; it sorts by `now`, to the millisecond.
    pub fn next(&mut self, now: Time) -> Uuid {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.stir().to_be_bytes());
        random[8..].copy_from_slice(&self.stir().to_be_bytes()[..2]);
        Builder::from_unix_timestamp_millis(u64::try_from(now.0).unwrap_or(0), &random).into_uuid()
    }

    // SplitMix64 (Steele, Lea, Flood 2014): a full period, and every bit of the seed counts.
    fn stir(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
