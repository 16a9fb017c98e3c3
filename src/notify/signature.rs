//! Signatures by Standard Webhooks 1.0: HMAC-SHA256 over the id, the instant and the body, joined by dots, in base64 behind
//! `v1,`. While a secret is rotated there are several, with blanks between.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// So far the instant of a webhook may be from the receiver's clock, s: the five minutes of the standard's libraries.
pub const TOLERANCE_S: i64 = 300;

/// The header `webhook-signature`: one signature for each secret.
pub fn signatures<'s>(secrets: impl IntoIterator<Item = &'s [u8]>, id: &str, at_s: i64, body: &[u8]) -> String {
    let each = secrets.into_iter().map(|secret| format!("v1,{}", STANDARD.encode(digest(secret, id, at_s, body))));
    each.collect::<Vec<_>>().join(" ")
}

/// Why a webhook is not taken for genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    /// None of its signatures is by this secret.
    #[error("no signature by this secret")]
    Signature,
    /// It is too old, or from the future: somebody may have kept it.
    #[error("more than five minutes old, or from the future")]
    Instant,
}

/// Whether a webhook was signed by this secret, lately.
///
/// # Errors
/// [`Forged`].
pub fn verify(secret: &[u8], id: &str, at_s: i64, body: &[u8], header: &str, now_s: i64) -> Result<(), Forged> {
    let ours = digest(secret, id, at_s, body);
    let theirs = header.split(' ').filter_map(|each| STANDARD.decode(each.strip_prefix("v1,")?).ok());
    let mut found = false;
    for signature in theirs {
        found |= bool::from(ours[..].ct_eq(&signature));
    }
    if !found {
        return Err(Forged::Signature);
    }
    if (now_s - at_s).abs() > TOLERANCE_S { Err(Forged::Instant) } else { Ok(()) }
}

fn digest(secret: &[u8], id: &str, at_s: i64, body: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{at_s}.").as_bytes());
    mac.update(body);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the standard's own libraries.
    #[test]
    fn the_standards_own_example_is_signed_alike() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let header = signatures([&secret[..]], id, at, body);
        assert_eq!(header, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(verify(&secret, id, at, body, &header, at + 1), Ok(()));
    }

    #[test]
    fn what_was_changed_or_kept_is_found() {
        let (old, new) = (&[1_u8; 32][..], &[2_u8; 32][..]);
        let header = signatures([new, old], "msg_1", 1_000, b"{}");
        for secret in [old, new] {
            assert_eq!(verify(secret, "msg_1", 1_000, b"{}", &header, 1_300), Ok(()), "both sign during a rotation");
        }
        assert_eq!(verify(&[3; 32], "msg_1", 1_000, b"{}", &header, 1_000), Err(Forged::Signature));
        assert_eq!(verify(new, "msg_2", 1_000, b"{}", &header, 1_000), Err(Forged::Signature));
        assert_eq!(verify(new, "msg_1", 1_001, b"{}", &header, 1_000), Err(Forged::Signature));
        assert_eq!(verify(new, "msg_1", 1_000, b"{} ", &header, 1_000), Err(Forged::Signature));
        assert_eq!(verify(new, "msg_1", 1_000, b"{}", "v1a,xx v1, v2,", 1_000), Err(Forged::Signature));
        assert_eq!(verify(new, "msg_1", 1_000, b"{}", &header, 1_301), Err(Forged::Instant));
        assert_eq!(verify(new, "msg_1", 1_000, b"{}", &header, 699), Err(Forged::Instant));
    }
}
