//! Names for jobs that say nothing: a friend may ask why they were not asked for one, without learning which job it was, and
//! without trying the names of others. A name holds the job's id, hidden and sealed under a key of the server for one friend:
//! another friend's name, or one that was made up, opens to nothing. The same job has the same name for the same friend.

use hmac::{Hmac, KeyInit, Mac};
use kiez_protocol::ids::{FriendId, JobId};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::auth::hex;

/// Makes and opens such names.
pub struct Seal {
    key: [u8; 32],
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal { … }")
    }
}

impl Seal {
    /// Under the server's secret, from which its key is derived: names outlast a restart.
    pub fn new(secret: &str) -> Seal {
        Seal { key: Sha256::digest(format!("kiez names of missed jobs {secret}")).into() }
    }

    /// The name of a job for one friend: 64 characters.
    pub fn name(&self, friend: FriendId, job: JobId) -> String {
        let tag = self.digest("tag", friend, job.0.as_bytes());
        let mask = self.digest("mask", friend, &tag);
        let hidden: [u8; 16] = std::array::from_fn(|at| job.0.as_bytes()[at] ^ mask[at]);
        hex(&[tag, hidden].concat())
    }

    /// The job of a name, if it was made for this friend.
    pub fn open(&self, friend: FriendId, name: &str) -> Option<JobId> {
        if name.len() != 64 || !name.is_ascii() {
            return None;
        }
        let byte = |at: usize| u8::from_str_radix(name.get(at * 2..at * 2 + 2)?, 16).ok();
        let bytes: Vec<u8> = (0..32).map(byte).collect::<Option<_>>()?;
        let (tag, hidden) = bytes.split_at(16);
        let mask = self.digest("mask", friend, tag);
        let job: [u8; 16] = std::array::from_fn(|at| hidden[at] ^ mask[at]);
        let ours = self.digest("tag", friend, &job);
        bool::from(ours.ct_eq(tag)).then(|| JobId(Uuid::from_bytes(job)))
    }

    fn digest(&self, what: &str, friend: FriendId, bytes: &[u8]) -> [u8; 16] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        for part in [what.as_bytes(), friend.0.as_bytes(), bytes] {
            mac.update(part);
        }
        let digest = mac.finalize().into_bytes();
        std::array::from_fn(|at| digest[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_opens_for_whom_it_was_made_and_says_nothing() {
        let seal = Seal::new("0123456789abcdef0123456789abcdef");
        let (anna, ben) = (FriendId(Uuid::from_u128(1)), FriendId(Uuid::from_u128(2)));
        let job = JobId(Uuid::from_u128(0x0192_f000_0000_7000_8000_0000_0000_0001));
        let name = seal.name(anna, job);
        assert_eq!((name.len(), seal.open(anna, &name)), (64, Some(job)));
        assert_eq!(name, Seal::new("0123456789abcdef0123456789abcdef").name(anna, job), "after a restart, too");
        assert_eq!(seal.open(ben, &name), None, "another friend's");
        assert_ne!(seal.name(ben, job), name, "two friends cannot compare");
        let id = job.0.simple().to_string();
        assert!(!name.contains(&id) && !name.contains(&id[..12]), "{name}");
        assert_eq!(Seal::new("another secret of thirty-two byte").open(anna, &name), None);
        let mut changed = name.into_bytes();
        for at in 0..changed.len() {
            let old = changed[at];
            changed[at] = if old == b'0' { b'1' } else { b'0' };
            assert_eq!(seal.open(anna, std::str::from_utf8(&changed).expect("hexadecimal")), None, "{at}");
            changed[at] = old;
        }
        for unfit in ["", &id, &"x".repeat(64), &"ä".repeat(32), &job.to_string()] {
            assert_eq!(seal.open(anna, unfit), None, "{unfit}");
        }
    }
}
