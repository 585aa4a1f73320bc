//! Ed25519 keys (RFC 8032) as JSON Web Keys (RFC 7517, RFC 8037).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt;

/// Why a text is not a key, or not a set of keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not JSON of the right form.
    #[error("this is not a JSON Web Key: {0}")]
    Shape(#[from] serde_json::Error),
    /// A key of another kind.
    #[error("the key is not an Ed25519 key: kty must be \"OKP\" and crv \"Ed25519\"")]
    Kind,
    /// A member is not 32 bytes in base64url without padding.
    #[error("the member {0} of the key is not 32 bytes in base64url without padding")]
    Bytes(&'static str),
    /// Not a point of the curve, or one of the few for which signatures prove nothing.
    #[error("the key is not a usable Ed25519 public key")]
    Point,
    /// The kid is not the thumbprint of the key.
    #[error(
        "the kid of the key is {found}, but its RFC 7638 thumbprint is {expected}; was the file put together by hand?"
    )]
    Kid {
        /// What the file says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// The two halves of a private key don't belong together.
    #[error("the members d and x of the key don't belong together")]
    Halves,
    /// A private key among public ones.
    #[error("this is a private key (it has the member d) where public ones belong; don't hand it out")]
    Private,
    /// A public key where a private one belongs.
    #[error("this is a public key (it has no member d) where a private one is needed")]
    Public,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    d: Option<String>,
    #[serde(default)]
    kid: Option<String>,
}

impl Jwk {
    fn is_ed25519(&self) -> bool {
        self.kty == "OKP" && self.crv.as_deref() == Some("Ed25519")
    }

    fn public(&self) -> Result<PublicKey, KeyError> {
        if !self.is_ed25519() {
            return Err(KeyError::Kind);
        }
        let key = PublicKey::from_bytes(&bytes32("x", self.x.as_deref())?)?;
        match &self.kid {
            Some(kid) if *kid != key.kid => Err(KeyError::Kid { found: kid.clone(), expected: key.kid }),
            _ => Ok(key),
        }
    }
}

fn bytes32(member: &'static str, text: Option<&str>) -> Result<[u8; 32], KeyError> {
    let decoded = URL_SAFE_NO_PAD.decode(text.unwrap_or_default()).ok();
    decoded.and_then(|bytes| bytes.try_into().ok()).ok_or(KeyError::Bytes(member))
}

/// A public key: what receipts and anchors are verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    kid: String,
}

impl PublicKey {
    /// From the 32 bytes of RFC 8032.
    ///
    /// # Errors
    /// [`KeyError::Point`] if they are no point of the curve, or one of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Point)?;
        if key.is_weak() { Err(KeyError::Point) } else { Ok(Self::from_key(key)) }
    }

    fn from_key(key: VerifyingKey) -> Self {
        let x = URL_SAFE_NO_PAD.encode(key.as_bytes());
        let print = Sha256::digest(format!("{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{x}\"}}"));
        Self { key, kid: URL_SAFE_NO_PAD.encode(print) }
    }

    /// The 32 bytes of RFC 8032.
    pub fn bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The id of the key: its RFC 7638 thumbprint with SHA-256, in base64url.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key as a JSON Web Key, in canonical form.
    pub fn to_jwk(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.key.as_bytes());
        format!(
            "{{\"alg\":\"EdDSA\",\"crv\":\"Ed25519\",\"kid\":\"{}\",\"kty\":\"OKP\",\"use\":\"sig\",\"x\":\"{x}\"}}",
            self.kid
        )
    }

    /// Whether the signature is this key's, by the strict rules that leave no second signature for a message.
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

/// The installation's private key. Its memory is cleared when it is dropped, and it can't be printed.
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    public: PublicKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, …)", self.public.kid)
    }
}

impl SigningKey {
    /// From the 32 random bytes that RFC 8032 calls the private key.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = PublicKey::from_key(key.verifying_key());
        Self { key, public }
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The id of the key. See [`PublicKey::kid`].
    pub fn kid(&self) -> &str {
        &self.public.kid
    }

    /// Signs bytes with Ed25519.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// The text for the file of the private key: a JSON Web Key with `d`. Whoever reads it can sign.
    pub fn to_text(&self) -> String {
        let encode = |bytes: &[u8; 32]| URL_SAFE_NO_PAD.encode(bytes);
        format!(
            "{{\"crv\":\"Ed25519\",\"d\":\"{}\",\"kid\":\"{}\",\"kty\":\"OKP\",\"x\":\"{}\"}}\n",
            encode(self.key.as_bytes()),
            self.public.kid,
            encode(self.public.bytes())
        )
    }

    /// Reads the text of a private key's file.
    ///
    /// # Errors
    /// If it is not a whole Ed25519 private key whose halves and kid fit together. The error never shows the key.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let jwk: Jwk = serde_json::from_str(text)?;
        let public = jwk.public()?;
        if jwk.d.is_none() {
            return Err(KeyError::Public);
        }
        let key = Self::from_seed(&bytes32("d", jwk.d.as_deref())?);
        if key.public == public { Ok(key) } else { Err(KeyError::Halves) }
    }
}

/// A set of public keys (RFC 7517 section 5), as `/.well-known/jwks.json` serves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jwks {
    keys: Vec<PublicKey>,
}

impl Jwks {
    /// A set of these keys.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self { keys }
    }

    /// The keys.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The key with this id.
    pub fn find(&self, kid: &str) -> Option<&PublicKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// The set as JSON, in canonical form.
    pub fn to_json(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(PublicKey::to_jwk).collect();
        format!("{{\"keys\":[{}]}}", keys.join(","))
    }

    /// Reads a set of keys, or a single key. Keys of other kinds are passed over, as RFC 7517 section 5 wants it.
    ///
    /// # Errors
    /// If it is neither, if an Ed25519 key in it is damaged, or if a private key is in it.
    pub fn from_json(text: &str) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Jwk>,
        }
        let keys = match serde_json::from_str::<Set>(text) {
            Ok(set) => set.keys,
            Err(error) => match serde_json::from_str::<Jwk>(text) {
                Ok(key) if key.is_ed25519() => vec![key],
                Ok(_) => return Err(KeyError::Kind),
                Err(_) => return Err(error.into()),
            },
        };
        if keys.iter().any(|key| key.d.is_some()) {
            return Err(KeyError::Private);
        }
        let ours = keys.iter().filter(|key| key.is_ed25519());
        Ok(Self { keys: ours.map(Jwk::public).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8037 appendix A.
    const D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const KID: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

    #[test]
    fn keys_thumbprints_and_signatures_are_those_of_rfc_8037() {
        let key = SigningKey::from_text(&format!(r#"{{"kty":"OKP","crv":"Ed25519","d":"{D}","x":"{X}"}}"#))
            .unwrap();
        assert_eq!(key.kid(), KID);
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = key.sign(message);
        assert_eq!(
            URL_SAFE_NO_PAD.encode(signature),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
        assert!(key.public().verifies(message, &signature) && !key.public().verifies(b"", &signature));
        assert_eq!(SigningKey::from_text(&key.to_text()).unwrap().public(), key.public());
        assert_eq!(format!("{key:?}"), format!("SigningKey({KID}, …)"));
    }

    #[test]
    fn sets_read_back_and_pass_over_other_kinds() {
        let key = SigningKey::from_seed(&[7; 32]).public().clone();
        let set = Jwks::new(vec![key.clone()]);
        assert_eq!(Jwks::from_json(&set.to_json()).unwrap(), set);
        assert_eq!(set.keys(), std::slice::from_ref(&key));
        assert_eq!(Jwks::from_json(&key.to_jwk()).unwrap(), set);
        let mixed = format!(r#"{{"keys":[{{"kty":"RSA","n":"AQAB","e":"AQAB"}},{}]}}"#, key.to_jwk());
        assert_eq!(Jwks::from_json(&mixed).unwrap().find(key.kid()), Some(&key));
    }

    #[test]
    fn what_is_wrong_with_a_key_is_said() {
        let jwk = |members: &str| format!(r#"{{"kty":"OKP","crv":"Ed25519"{members}}}"#);
        let weak = URL_SAFE_NO_PAD.encode([0; 32]);
        for (text, words) in [
            (String::new(), "not a JSON Web Key"),
            (r#"{"kty":"RSA"}"#.to_owned(), "not an Ed25519 key"),
            (format!(r#"{{"kty":"EC","crv":"Ed25519","x":"{X}"}}"#), "not an Ed25519 key"),
            (format!(r#"{{"kty":"OKP","crv":"X25519","x":"{X}"}}"#), "not an Ed25519 key"),
            (jwk(""), "member x"),
            (jwk(&format!(r#","x":"{X}=""#)), "member x"),
            (jwk(&format!(r#","x":"{weak}""#)), "not a usable"),
            (jwk(&format!(r#","x":"{X}","kid":"a""#)), "thumbprint is kPrK"),
            (jwk(&format!(r#","x":"{X}""#)), "public key"),
            (jwk(&format!(r#","x":"{X}","d":"AA""#)), "member d"),
            (jwk(&format!(r#","x":"{X}","d":"{X}""#)), "don't belong together"),
        ] {
            let error = SigningKey::from_text(&text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(matches!(Jwks::from_json(r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#), Err(KeyError::Kind)));
        assert!(matches!(
            Jwks::from_json(&SigningKey::from_seed(&[7; 32]).to_text()),
            Err(KeyError::Private)
        ));
    }
}
