//! Who may come in: friends and ops by a token (JWT, HS256, pinned), partners by an API key of which only a hash is kept,
//! and on loopback the development key, which may do everything.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, header};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use kiez_protocol::directory::OpsRole;
use kiez_protocol::ids::{FriendId, JobId, PartnerSlug};
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::limit::{Pace, Quota, interval_ms};
use super::problem::Refusal;
use crate::clock::Clock;
use crate::config::Limits;
use crate::dispatch::effect::By;
use crate::ledger::{Reader, Registry, RegistryError};

const FRIEND: &str = "kiez-friend";
const OPS: &str = "kiez-ops";
const CUSTOMER: &str = "kiez-customer";
/// A token longer than this is not looked at, bytes.
const TOKEN_BYTES_MAX: usize = 4_096;
/// A customer's token longer than this is not looked at, bytes.
const CUSTOMER_BYTES_MAX: usize = 1_024;
/// A partner's key is read from the ledger again after this, so that a revoked one is refused within it, ms.
const KEY_FRESH_MS: i64 = 5_000;
/// Partner keys remembered between reads.
const KEYS_MAX: usize = 10_000;
/// A partner key longer than this is none, bytes.
const KEY_BYTES_MAX: usize = 200;
/// The last second that a token may name, the last that has a form on the wire; what lies behind it counts as this.
const EXPIRES_MAX_S: i64 = 253_402_207_200;
/// A name of ops is kept up to so many characters.
const OPS_NAME_CHARS_MAX: usize = 100;
/// Carries the development key beside the caller's own, so that what is allowed to one client is lifted for them.
const DEVELOPMENT_HEADER: &str = "kiez-development-key";

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    aud: String,
    exp: i64,
    #[serde(default)]
    iat: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<OpsRole>,
}

/// A friend's token that was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FriendClaim {
    /// `sub`: the friend's subject, by default the id.
    pub subject: String,
    /// When it ends, real time.
    pub expires_at: Time,
}

/// Why a token or key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Not a token of ours, or for something else.
    #[error("the token is not valid")]
    Bad,
    /// It was good once.
    #[error("the token has expired")]
    Expired,
}

/// Makes and checks credentials.
pub struct Auth {
    encoding: EncodingKey,
    decoding: DecodingKey,
    development_key: Option<String>,
    keys: Mutex<HashMap<String, KnownKey>>,
    // Keys that nobody here knows, and that are looked up all the same.
    unknown_keys: Mutex<Pace>,
    clock: Clock,
}

/// A partner's key as it was read from the ledger.
#[derive(Clone)]
struct KnownKey {
    read_at: i64,
    partner: PartnerSlug,
    secret_sha256: [u8; 32],
    quota: Arc<Quota>,
}

/// One of ops, by their token.
struct OpsCaller {
    name: String,
    role: OpsRole,
}

/// A partner who has shown a good key.
#[derive(Clone, Debug)]
pub struct PartnerCaller {
    /// Who it is.
    pub partner: PartnerSlug,
    /// What this key has asked for lately; none where the development key lifts it.
    pub quota: Option<Arc<Quota>>,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth { … }")
    }
}

impl Auth {
    /// Credentials under `secret`; `development_key` only on loopback.
    pub fn new(secret: &str, development_key: Option<String>, clock: Clock) -> Auth {
        Auth {
            encoding: EncodingKey::from_secret(secret.as_bytes()),
            decoding: DecodingKey::from_secret(secret.as_bytes()),
            development_key,
            keys: Mutex::default(),
            unknown_keys: Mutex::default(),
            clock,
        }
    }

    /// The secret that belongs to a development key: tokens made with the one are good with the other.
    pub fn secret_of(development_key: &str) -> String {
        hex(&Sha256::digest(format!("kiez development secret {development_key}")))
    }

    /// A token for a friend.
    ///
    /// # Errors
    /// When the token cannot be signed.
    pub fn friend_token(&self, friend: FriendId, minutes: u32) -> Result<(String, Time), jsonwebtoken::errors::Error> {
        self.token(friend.to_string(), FRIEND, None, minutes)
    }

    /// A token for ops.
    ///
    /// # Errors
    /// When the token cannot be signed.
    pub fn ops_token(&self, role: OpsRole, minutes: u32) -> Result<(String, Time), jsonwebtoken::errors::Error> {
        self.named_ops_token("ops".to_owned(), role, minutes)
    }

    /// A token for one of ops, by whose name the audit log knows them.
    ///
    /// # Errors
    /// When the token cannot be signed.
    pub fn named_ops_token(
        &self,
        name: String,
        role: OpsRole,
        minutes: u32,
    ) -> Result<(String, Time), jsonwebtoken::errors::Error> {
        self.token(name, OPS, Some(role), minutes)
    }

    fn token(
        &self,
        sub: String,
        aud: &str,
        role: Option<OpsRole>,
        minutes: u32,
    ) -> Result<(String, Time), jsonwebtoken::errors::Error> {
        let iat = self.clock.real().0 / 1_000;
        let exp = iat + i64::from(minutes) * 60;
        let claims = Claims { sub, aud: aud.to_owned(), exp, iat, role };
        let token = encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)?;
        Ok((token, Time(exp * 1_000)))
    }

    /// Checks a friend's token.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn friend(&self, token: &str) -> Result<FriendClaim, Denied> {
        let claims = self.claims(token, FRIEND)?;
        let expires_at = Time(claims.exp.min(EXPIRES_MAX_S) * 1_000);
        Ok(FriendClaim { subject: claims.sub, expires_at })
    }

    /// The friend's token that a request carries.
    ///
    /// # Errors
    /// [`Code::Unauthorized`].
    pub fn friend_request(&self, headers: &HeaderMap) -> Result<FriendClaim, Refusal> {
        let claim = self.friend(bearer(headers)?);
        claim.map_err(|denied| Refusal::new(Code::Unauthorized, denied.to_string()))
    }

    /// The token of a customer's link: one job, from one instant of the trade's time to another.
    ///
    /// # Errors
    /// When the token cannot be signed.
    pub fn customer_token(&self, job: JobId, from: Time, until: Time) -> Result<String, jsonwebtoken::errors::Error> {
        let seconds = |at: Time| at.0.div_euclid(1_000);
        let claims = serde_json::json!({
            "sub": job.to_string(), "aud": CUSTOMER, "iat": seconds(from), "exp": seconds(until),
        });
        encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
    }

    /// The job of a customer's link, if the link is one of ours and has not ended by `now`, the trade's time.
    pub fn customer(&self, token: &str, now: Time) -> Option<JobId> {
        if token.len() > CUSTOMER_BYTES_MAX {
            return None;
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[CUSTOMER]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        // The link lives as long as its job, whose time may run faster than the wall's: looked at here.
        validation.validate_exp = false;
        let claims = decode::<Claims>(token, &self.decoding, &validation).ok()?.claims;
        (now.0.div_euclid(1_000) < claims.exp).then(|| claims.sub.parse().ok()).flatten()
    }

    /// Checks an ops token or the development key.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn ops(&self, token: &str) -> Result<OpsRole, Denied> {
        self.ops_caller(token).map(|caller| caller.role)
    }

    fn ops_caller(&self, token: &str) -> Result<OpsCaller, Denied> {
        if self.is_development(token) {
            return Ok(OpsCaller { name: "development".to_owned(), role: OpsRole::Admin });
        }
        let Claims { sub: name, role, .. } = self.claims(token, OPS)?;
        // An identity service of ops may name them as it likes; the log keeps a bound.
        let name: String = name.chars().filter(|c| !c.is_control()).take(OPS_NAME_CHARS_MAX).collect();
        let name = if name.trim().is_empty() { "ops".to_owned() } else { name };
        role.map(|role| OpsCaller { name, role }).ok_or(Denied::Bad)
    }

    fn claims(&self, token: &str, audience: &str) -> Result<Claims, Denied> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Denied::Bad);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        validation.leeway = 0;
        match decode::<Claims>(token, &self.decoding, &validation) {
            Ok(data) => Ok(data.claims),
            Err(error) => match error.kind() {
                jsonwebtoken::errors::ErrorKind::ExpiredSignature => Err(Denied::Expired),
                _ => Err(Denied::Bad),
            },
        }
    }

    fn is_development(&self, token: &str) -> bool {
        self.development_key.as_ref().is_some_and(|key| key.as_bytes().ct_eq(token.as_bytes()).into())
    }

    /// Who asks, if their role is at least `least`: as the audit log will have it.
    ///
    /// # Errors
    /// [`Code::Unauthorized`] or [`Code::Forbidden`].
    pub fn require(&self, headers: &HeaderMap, least: OpsRole) -> Result<By, Refusal> {
        let token = bearer(headers)?;
        let caller = self.ops_caller(token).map_err(|denied| Refusal::new(Code::Unauthorized, denied.to_string()))?;
        if caller.role < least {
            return Err(Refusal::new(Code::Forbidden, "this needs another role"));
        }
        Ok(By { actor: caller.name, role: caller.role.into(), at: self.clock.now() })
    }

    /// Whether the request shows the development key beside the caller's own: then the limits of a single client do not
    /// hold for it.
    pub fn lifts_limits(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(DEVELOPMENT_HEADER).and_then(|value| value.to_str().ok());
        shown.is_some_and(|shown| self.is_development(shown))
    }

    /// The partner whose key the request carries. The tenant comes from the key, never from the body.
    ///
    /// # Errors
    /// [`Code::Unauthorized`]; [`Code::TooMany`] when too many unknown keys are tried; [`Code::Unavailable`] when the
    /// ledger cannot be read.
    pub async fn partner(
        &self,
        headers: &HeaderMap,
        reader: &Reader,
        limits: &Limits,
    ) -> Result<PartnerCaller, Refusal> {
        let bad = || Refusal::new(Code::Unauthorized, "the API key is not valid");
        let token = bearer(headers)?;
        let (id, secret) = token.strip_prefix("kz_live_").and_then(|rest| rest.split_once('_')).ok_or_else(bad)?;
        if token.len() > KEY_BYTES_MAX {
            return Err(bad());
        }
        let now = self.clock.elapsed_ms();
        let known = self.keys.lock().expect("no panic while held").get(id).cloned();
        let known = match known {
            Some(known) if now - known.read_at < KEY_FRESH_MS => known,
            stale => {
                if stale.is_none() && !self.looks_up(now, limits) {
                    return Err(Refusal::new(Code::TooMany, "too many unknown API keys are being tried; try again"));
                }
                let (partner, secret_sha256) = reader.api_key(id).await?.ok_or_else(bad)?;
                self.remember(id, now, partner, secret_sha256)
            }
        };
        let given: [u8; 32] = Sha256::digest(secret).into();
        if !bool::from(given.ct_eq(&known.secret_sha256)) {
            return Err(bad());
        }
        tracing::Span::current().record("partner", known.partner.as_str());
        let quota = (!self.lifts_limits(headers)).then_some(known.quota);
        Ok(PartnerCaller { partner: known.partner, quota })
    }

    /// Whether one more key that nobody here knows may cost the ledger a look. Keys that are known are not held up by
    /// those who try.
    fn looks_up(&self, now: i64, limits: &Limits) -> bool {
        let mut unknown = self.unknown_keys.lock().expect("no panic while held");
        unknown.take(now, limits.unknown_keys_per_s, interval_ms(limits.unknown_keys_per_s))
    }

    /// What was read of a key; its quota goes on from where it was.
    fn remember(&self, id: &str, read_at: i64, partner: PartnerSlug, secret_sha256: [u8; 32]) -> KnownKey {
        let mut keys = self.keys.lock().expect("no panic while held");
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        let quota = keys.get(id).map(|known| known.quota.clone()).unwrap_or_default();
        let known = KnownKey { read_at, partner, secret_sha256, quota };
        keys.insert(id.to_owned(), known.clone());
        known
    }
}

/// A new API key for a partner, `kz_live_<id>_<secret>`. It is shown once: only the secret's SHA-256 is kept.
///
/// # Errors
/// [`RegistryError`] when it cannot be stored.
pub async fn partner_key(registry: &Registry, partner: PartnerSlug, by: &By) -> Result<String, RegistryError> {
    let random = |bytes| random_hex(bytes).map_err(|error| RegistryError::Refused(error.to_string()));
    let (id, secret) = (random(6)?, random(24)?);
    registry.create_api_key(partner, id.clone(), Sha256::digest(&secret).into(), by).await?;
    Ok(format!("kz_live_{id}_{secret}"))
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    value
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| Refusal::new(Code::Unauthorized, "send Authorization: Bearer …"))
}

/// Bytes as hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A random text of `bytes` bytes in hexadecimal, from the machine's own source.
///
/// # Errors
/// When the machine has no randomness to give.
pub fn random_hex(bytes: usize) -> Result<String, getrandom::Error> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer)?;
    Ok(hex(&buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(secret: &str) -> Auth {
        Auth::new(secret, Some("kz_dev_x".to_owned()), Clock::start())
    }

    #[test]
    fn a_token_is_good_for_its_audience_and_time_only() {
        let ours = auth("0123456789abcdef0123456789abcdef");
        let friend = FriendId(Uuid::from_u128(7));
        let (token, _) = ours.friend_token(friend, 15).expect("signs");
        assert_eq!(ours.friend(&token).map(|claim| claim.subject), Ok(friend.to_string()));
        assert_eq!(ours.ops(&token), Err(Denied::Bad), "a friend's token does not open the map");
        let (ops, _) = ours.ops_token(OpsRole::Viewer, 15).expect("signs");
        assert_eq!(ours.ops(&ops), Ok(OpsRole::Viewer));
        assert_eq!(ours.friend(&ops), Err(Denied::Bad));
        assert_eq!(auth("another secret of thirty-two byte").friend(&token), Err(Denied::Bad));
        let (old, _) = ours.token(friend.to_string(), FRIEND, None, 0).expect("signs");
        let past = Claims { sub: friend.to_string(), aud: FRIEND.to_owned(), exp: 1, iat: 0, role: None };
        let past = encode(&Header::new(Algorithm::HS256), &past, &ours.encoding).expect("signs");
        assert_eq!(ours.friend(&past), Err(Denied::Expired));
        drop(old);
    }

    #[test]
    fn a_customers_link_is_good_for_one_job_and_a_while() {
        let ours = auth("0123456789abcdef0123456789abcdef");
        let (job, from, until) = (JobId(Uuid::from_u128(9)), Time(1_000_000), Time(2_000_000));
        let token = ours.customer_token(job, from, until).expect("signs");
        assert_eq!(ours.customer_token(job, from, until).expect("signs"), token, "the same for ever");
        assert_eq!(ours.customer(&token, Time(1_999_999)), Some(job));
        assert_eq!(ours.customer(&token, until), None);
        assert_eq!(auth("another secret of thirty-two byte").customer(&token, from), None);
        let (friend, _) = ours.friend_token(FriendId(job.0), 15).expect("signs");
        assert_eq!(ours.customer(&friend, from), None, "a friend's token is no link");
        assert!(ours.friend(&token).is_err() && ours.ops(&token).is_err(), "and a link no token");
    }

    const FAR: i64 = 9_999_999_999;

    fn forged(header: &Header, claims: &serde_json::Value, key: &[u8]) -> String {
        encode(header, claims, &EncodingKey::from_secret(key)).expect("signs")
    }

    #[test]
    fn tokens_of_other_kinds_are_refused() {
        let secret = "0123456789abcdef0123456789abcdef";
        let ours = auth(secret);
        let friend = json!({"sub": "x", "aud": FRIEND, "exp": FAR});
        let good = forged(&Header::new(Algorithm::HS256), &friend, secret.as_bytes());
        assert!(ours.friend(&good).is_ok(), "what is forged below differs from this in one thing");

        // {"alg":"none"} with the claims of a friend, and no signature.
        let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4IiwiYXVkIjoia2llei1mcmllbmQiLCJleHAiOjk5OTk5OTk5OTksImlhdCI6MH0.";
        // The public half of a signing key is no secret, and must not do as one.
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
            -----END PUBLIC KEY-----\n";
        let by_public = forged(&Header::new(Algorithm::HS256), &friend, public.as_bytes());
        // The right secret, by another algorithm than the one that is pinned.
        let other_algorithm = forged(&Header::new(Algorithm::HS512), &friend, secret.as_bytes());
        // A key id and a key in the token choose nothing: the signature is checked with our key alone.
        let mut unknown_kid = Header::new(Algorithm::HS256);
        unknown_kid.kid = Some("another".to_owned());
        unknown_kid.jku = Some("https://keys.example/jwks".to_owned());
        let unknown_kid = forged(&unknown_kid, &friend, b"another secret of thirty-two byte");
        let (head, rest) = good.split_once('.').expect("three parts");
        let (claims, signature) = rest.split_once('.').expect("three parts");
        let changed = format!("{head}.{claims}x.{signature}");
        let unsigned = format!("{head}.{claims}.");
        let long = "x".repeat(8_192);
        let long_good =
            forged(&Header::new(Algorithm::HS256), &json!({"sub": long, "aud": FRIEND, "exp": FAR}), secret.as_bytes());
        let denied: [&str; 11] = [
            "",
            "a.b.c",
            "..",
            none,
            &by_public,
            &other_algorithm,
            &unknown_kid,
            &changed,
            &unsigned,
            &long,
            &long_good,
        ];
        for token in denied {
            assert_eq!(ours.friend(token), Err(Denied::Bad), "{token}");
            assert_eq!(ours.ops(token), Err(Denied::Bad), "{token}");
        }
    }

    #[test]
    fn claims_that_are_missing_or_absurd_are_refused_or_bounded() {
        let secret = "0123456789abcdef0123456789abcdef";
        let ours = auth(secret);
        let of = |claims| forged(&Header::new(Algorithm::HS256), &claims, secret.as_bytes());
        for claims in [
            json!({"sub": "x", "aud": FRIEND}),
            json!({"sub": "x", "exp": FAR}),
            json!({"aud": FRIEND, "exp": FAR}),
            json!({"sub": "x", "aud": FRIEND, "exp": "later"}),
            json!({"sub": "x", "aud": OPS, "exp": FAR}),
            json!({"sub": "x", "aud": FRIEND, "exp": -1}),
            json!([]),
        ] {
            assert!(ours.friend(&of(claims.clone())).is_err(), "{claims}");
        }
        let forever = of(json!({"sub": "x", "aud": FRIEND, "exp": i64::MAX}));
        let ends = ours.friend(&forever).expect("good").expires_at;
        assert_eq!(ends, Time(EXPIRES_MAX_S * 1_000));
        assert!(serde_json::to_string(&ends).expect("has a form on the wire").contains("9999-12-30"));
        let without_role = of(json!({"sub": "ops", "aud": OPS, "exp": FAR}));
        assert_eq!(ours.ops(&without_role), Err(Denied::Bad));
        let strange_role = of(json!({"sub": "ops", "aud": OPS, "exp": FAR, "role": "emperor"}));
        assert_eq!(ours.ops(&strange_role), Err(Denied::Bad));
    }

    use serde_json::json;
    use uuid::Uuid;
}
