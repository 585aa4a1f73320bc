//! The hosts that a profile grants.

use url::{Host, Url};

/// One entry of `policy.profile.hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Without the dot at the end, in the form in which an URL carries it.
    host: String,
    /// Whether it is for everything below the host, and not for the host.
    below: bool,
    /// The scheme's own one when not given.
    port: Option<u16>,
}

impl Grant {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no host: use example.com, example.com:8443 or *.example.com");
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // The colons of an IPv6 address stand within brackets.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err(wrong()),
        };
        if host.is_empty() || host.contains(['/', '@', '*', '?', '#', '\\', ' ', '\t', '\n', '\r']) {
            return Err(wrong());
        }
        let url = Url::parse(&format!("http://{host}/")).map_err(|_| wrong())?;
        match url.host() {
            Some(Host::Domain(_)) => {}
            Some(Host::Ipv4(_) | Host::Ipv6(_)) if !below => {}
            _ => return Err(wrong()),
        }
        Ok(Self { host: host_of(&url).ok_or_else(wrong)?, below, port })
    }

    fn allows(&self, host: &str, port: u16, default_port: u16) -> bool {
        let named = if self.below {
            host.strip_suffix(self.host.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            host == self.host
        };
        named && port == self.port.unwrap_or(default_port)
    }
}

fn host_of(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// Whether the host of an URL is granted.
///
/// # Errors
/// The words for what is missing.
pub(crate) fn granted(grants: &[Grant], url: &Url) -> Result<(), String> {
    let default_port = if url.scheme() == "https" { 443 } else { 80 };
    let port = url.port().unwrap_or(default_port);
    let host = host_of(url).unwrap_or_default();
    if grants.iter().any(|grant| grant.allows(&host, port, default_port)) {
        return Ok(());
    }
    let name = if port == default_port { host } else { format!("{host}:{port}") };
    Err(format!("host {name} is not granted: add {name:?} to policy.profile.hosts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(grant: &str, url: &str) -> bool {
        granted(&[Grant::parse(grant).unwrap()], &Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn a_grant_is_for_what_it_names() {
        for (grant, url) in [
            ("example.com", "https://example.com/a"),
            ("example.com", "http://EXAMPLE.com./"),
            ("Example.COM.", "https://example.com"),
            ("example.com:8443", "https://example.com:8443/"),
            ("example.com:443", "https://example.com/"),
            ("*.example.com", "https://a.example.com/"),
            ("*.example.com", "https://a.b.example.com/"),
            ("*.example.com:8443", "https://a.example.com:8443/"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("127.0.0.1", "http://0x7f.1/"),
            ("[::1]:8080", "http://[::1]:8080/"),
            ("[::1]", "http://[::1]/"),
            ("bücher.example", "https://xn--bcher-kva.example/"),
        ] {
            assert!(allowed(grant, url), "{grant} {url}");
        }
    }

    #[test]
    fn a_grant_is_for_nothing_else() {
        for (grant, url) in [
            ("example.com", "https://example.com:8443/"),
            ("example.com", "http://example.com:443/"),
            ("example.com", "https://a.example.com/"),
            ("example.com", "https://evilexample.com/"),
            ("example.com", "https://example.com.evil.com/"),
            ("*.example.com", "https://example.com/"),
            ("*.example.com", "https://evilexample.com/"),
            ("*.example.com", "https://a.example.com:8443/"),
            ("example.com:8443", "https://example.com/"),
            ("127.0.0.1", "http://127.0.0.1:8080/"),
            ("127.0.0.1", "http://[::ffff:127.0.0.1]/"),
        ] {
            assert!(!allowed(grant, url), "{grant} {url}");
        }
    }

    #[test]
    fn nonsense_is_no_grant() {
        for text in [
            "",
            "*",
            "*.",
            "*.*.com",
            "a.*.com",
            "https://example.com",
            "user@example.com",
            "example.com/",
            "a b",
            "example.com:",
            "example.com:0",
            "example.com:99999",
            "*.127.0.0.1",
            "::1",
        ] {
            assert!(Grant::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let words = granted(&[], &Url::parse("https://example.com:8443/a?secret=1").unwrap()).unwrap_err();
        assert_eq!(
            words,
            "host example.com:8443 is not granted: add \"example.com:8443\" to policy.profile.hosts"
        );
    }
}
