//! How the secrets of endpoints are kept. They must sign, so a hash would not do: with `webhooks.sealing_key` they are sealed
//! under it (ChaCha20-Poly1305, bound to their endpoint), and whoever has only the database can neither read them nor use
//! them for another endpoint. Without the key they stand there as they are. Both are read, so that a key can be set later:
//! what is stored from then on is sealed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kiez_protocol::ids::EndpointId;
use kiez_protocol::time::Time;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a sealed secret begins with.
const SEALED: &str = "sealed:1:";
/// What a secret begins with on the wire.
const WHSEC: &str = "whsec_";

/// A secret that signs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// `whsec_…`, or the same sealed.
    pub(super) text: String,
    /// When it was made, in real time.
    pub made_at: Time,
    /// It signs until then; without it until there is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret {{ made_at: {:?}, until: {:?} }}", self.made_at, self.until)
    }
}

impl Secret {
    /// The newest secret of an endpoint, as [`Keeper::seal`] gives it.
    pub fn new(text: String, made_at: Time) -> Secret {
        Secret { text, made_at, until: None }
    }
}

/// Seals secrets and opens them.
#[derive(Clone, Default)]
pub struct Keeper(Option<[u8; 32]>);

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Keeper { sealing }" } else { "Keeper { plain }" })
    }
}

impl Keeper {
    /// Under this key; an empty one seals nothing.
    pub fn new(sealing_key: &str) -> Keeper {
        let derived = || Sha256::digest(format!("kiez secrets of endpoints {sealing_key}")).into();
        Keeper((!sealing_key.is_empty()).then(derived))
    }

    /// These bytes as they are stored.
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn seal(&self, endpoint: EndpointId, secret: &[u8]) -> Result<String, getrandom::Error> {
        let Some(key) = self.key() else { return Ok(written(secret)) };
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)?;
        let mut sealed = secret.to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(endpoint.0.into_bytes()),
            &mut sealed,
        )
        .expect("a secret is far shorter than what one nonce may seal");
        Ok(format!("{SEALED}{}", STANDARD.encode([&nonce[..], &sealed].concat())))
    }

    /// The bytes that sign; none where they were sealed under another key, or for another endpoint.
    pub fn open(&self, endpoint: EndpointId, secret: &Secret) -> Option<Vec<u8>> {
        let Some(sealed) = secret.text.strip_prefix(SEALED) else { return read(&secret.text) };
        let sealed = STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let (nonce, mut sealed) = (Nonce::try_assume_unique_for_key(nonce).ok()?, sealed.to_vec());
        let opened = self.key()?.open_in_place(nonce, Aad::from(endpoint.0.into_bytes()), &mut sealed).ok()?;
        Some(opened.to_vec())
    }

    fn key(&self) -> Option<LessSafeKey> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, self.0.as_ref()?).expect("the key has 32 bytes");
        Some(LessSafeKey::new(key))
    }
}

/// A secret as partners know it.
pub fn written(secret: &[u8]) -> String {
    format!("{WHSEC}{}", STANDARD.encode(secret))
}

/// The bytes of a secret as partners know it.
pub fn read(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.strip_prefix(WHSEC)?).ok()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn stored(text: String) -> Secret {
        Secret { text, made_at: Time(0), until: None }
    }

    #[test]
    fn a_sealed_secret_opens_under_its_key_for_its_endpoint_and_says_nothing() {
        let (here, there) = (EndpointId(Uuid::from_u128(1)), EndpointId(Uuid::from_u128(2)));
        let (keeper, secret) = (Keeper::new("a key of at least thirty-two characters"), [7; 32]);
        let sealed = stored(keeper.seal(here, &secret).unwrap());
        assert!(!sealed.text.contains(&STANDARD.encode(secret)), "{}", sealed.text);
        assert_ne!(sealed.text, keeper.seal(here, &secret).unwrap(), "twice the same does not look the same");
        assert_eq!(keeper.open(here, &sealed).as_deref(), Some(&secret[..]));
        assert_eq!(keeper.open(there, &sealed), None, "moved to another endpoint");
        assert_eq!(Keeper::new("another key of thirty-two characters").open(here, &sealed), None);
        assert_eq!(Keeper::default().open(here, &sealed), None);
        for unfit in ["sealed:1:", "sealed:1:AAAA", "sealed:1:%", "whsec_%", "plain", ""] {
            assert_eq!(keeper.open(here, &stored(unfit.to_owned())), None, "{unfit}");
        }
    }

    #[test]
    fn without_a_key_it_stands_as_it_is_and_is_read_when_there_is_one() {
        let here = EndpointId(Uuid::from_u128(1));
        let plain = stored(Keeper::default().seal(here, &[7; 32]).unwrap());
        assert_eq!(plain.text, written(&[7; 32]));
        assert_eq!(Keeper::new("a key of at least thirty-two characters").open(here, &plain), Some(vec![7; 32]));
        assert!(!format!("{plain:?}").contains("whsec"), "no log shows it");
    }
}
