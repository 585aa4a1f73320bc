//! Who asks, and what they may.

use crate::control::{Control, Mode};
use everloop_journal::digest;
use everloop_types::error::{Code, Refusal};
use everloop_types::id::{TenantId, UserId};
use subtle::ConstantTimeEq;

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Everything in its tenant.
    Full,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Whose things it sees.
    pub tenant: TenantId,
    /// What events call it: a pseudonym.
    pub actor: String,
    /// What it may do.
    pub rights: Rights,
    /// Whether it showed the local key: who can read that file can run commands on the machine anyway.
    pub shows_key: bool,
}

impl Caller {
    /// Whoever can use the machine.
    pub fn local(shows_key: bool) -> Self {
        Self { tenant: TenantId::DEFAULT, actor: UserId::LOCAL.to_string(), rights: Rights::Full, shows_key }
    }
}

impl Control {
    /// Who shows this API key, or none.
    ///
    /// # Errors
    /// `unauthorized` for a wrong key, and for none where one is needed.
    pub fn caller(&self, key: Option<&str>) -> Result<Caller, Refusal> {
        let options = self.options();
        match key {
            Some(key) => {
                let shown = digest::sha256(key.as_bytes());
                let known = options.key_hashes.iter().any(|hash| bool::from(hash.ct_eq(&shown)));
                if known { Ok(Caller::local(true)) } else { Err(unauthorized("the API key is not valid")) }
            }
            None => match options.mode {
                Mode::Dev => Ok(Caller::local(false)),
                Mode::Serve => Err(unauthorized("the request shows no API key")),
            },
        }
    }
}

fn unauthorized(detail: &str) -> Refusal {
    Refusal::new(Code::Unauthorized, detail)
        .hint("send `Authorization: Bearer evl_…` with the key of the server's data folder, or set EVERLOOP_API_KEY")
}
