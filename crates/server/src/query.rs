//! Query strings: each parameter at most once, unknown ones refused by name.

use everloop_control::kinds::nearest;
use everloop_types::error::{FieldError, Refusal};
use everloop_types::limits;
use std::str::FromStr;
use std::time::Duration;

/// The parameters of a request. Handlers take what they know and then call [`Query::done`].
#[derive(Debug, Default)]
pub(crate) struct Query {
    left: Vec<(String, String)>,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

/// Undoes the encoding of forms (WHATWG URL, section 5.1).
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok().filter(|text| !text.contains('\0'))
}

impl Query {
    /// Reads a query string.
    pub(crate) fn read(text: Option<&str>) -> Result<Self, Refusal> {
        let mut query = Self::default();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name), decode(value)) {
                (Some(name), Some(value)) => query.left.push((name, value)),
                _ => return Err(Refusal::field("?", "the query is not percent-encoded UTF-8")),
            }
        }
        Ok(query)
    }

    fn wrong(&mut self, name: &str, message: impl Into<String>) {
        self.errors.push(FieldError { field: name.to_owned(), message: message.into() });
    }

    /// A parameter that may be there once.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        let mut all = self.all(name);
        if all.len() > 1 {
            self.wrong(name, "is given more than once");
        }
        if all.is_empty() { None } else { Some(all.swap_remove(0)) }
    }

    /// Every value of a parameter, and of comma lists in it.
    pub(crate) fn list(&mut self, name: &'static str) -> Vec<String> {
        let all = self.all(name);
        all.iter()
            .flat_map(|text| text.split(','))
            .map(|item| item.trim().to_owned())
            .filter(|item| !item.is_empty())
            .collect()
    }

    /// Every value of a parameter as it stands.
    pub(crate) fn all(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        let mut found = Vec::new();
        self.left.retain_mut(|(given, value)| {
            let keep = given != name;
            if !keep {
                found.push(std::mem::take(value));
            }
            keep
        });
        found
    }

    /// A parameter that is read into a type.
    pub(crate) fn parsed<T: FromStr>(&mut self, name: &'static str, what: &str) -> Option<T> {
        let text = self.text(name)?;
        let read = text.parse().ok();
        if read.is_none() {
            self.wrong(name, format!("must be {what}"));
        }
        read
    }

    /// A comma list whose items are read into a type.
    pub(crate) fn parsed_list<T: FromStr>(&mut self, name: &'static str, what: &str) -> Vec<T> {
        let mut read = Vec::new();
        for item in self.list(name) {
            match item.parse() {
                Ok(value) => read.push(value),
                Err(_) => {
                    let shown: String = item.chars().take(64).collect();
                    self.wrong(name, format!("has {shown:?}, which is not {what}"));
                }
            }
        }
        read
    }

    /// `1`, `true` or nothing; `0`, `false` or absent.
    pub(crate) fn flag(&mut self, name: &'static str) -> bool {
        match self.text(name).as_deref() {
            None | Some("0" | "false") => false,
            Some("" | "1" | "true") => true,
            Some(_) => {
                self.wrong(name, "must be true or false");
                false
            }
        }
    }

    /// A time to wait: `30s`, `500ms`, `1m`, or seconds; at most 60 s.
    pub(crate) fn wait(&mut self) -> Option<Duration> {
        let text = self.text("wait")?;
        let number = |text: &str| text.parse::<u64>().ok();
        let read = if let Some(millis) = text.strip_suffix("ms") {
            number(millis).map(Duration::from_millis)
        } else if let Some(minutes) = text.strip_suffix('m') {
            number(minutes).and_then(|minutes| minutes.checked_mul(60)).map(Duration::from_secs)
        } else {
            number(text.strip_suffix('s').unwrap_or(&text)).map(Duration::from_secs)
        };
        match read {
            Some(wait) => Some(wait.min(limits::WAIT_MAX)),
            None => {
                self.wrong("wait", "must be a time such as 30s or 500ms; at most 60s are waited");
                None
            }
        }
    }

    /// Labels: `label=key:value`, as often as needed.
    pub(crate) fn labels(&mut self) -> std::collections::BTreeMap<String, String> {
        let mut labels = std::collections::BTreeMap::new();
        for label in self.all("label") {
            match label.split_once([':', '=']) {
                Some((key, value)) => {
                    labels.insert(key.to_owned(), value.to_owned());
                }
                None => self.wrong("label", "must be of the form name:value"),
            }
        }
        labels
    }

    /// A filter of event types.
    pub(crate) fn types(&mut self, name: &'static str) -> everloop_types::event::TypeFilter {
        let text = self.text(name).unwrap_or_default();
        everloop_types::event::TypeFilter::parse(&text).unwrap_or_else(|item| {
            let shown: String = item.chars().take(64).collect();
            self.wrong(name, format!("has {shown:?}, which is neither a type such as task.completed nor a prefix such as step.*"));
            everloop_types::event::TypeFilter::default()
        })
    }

    /// Refuses what is wrong and what nobody asked for.
    pub(crate) fn done(mut self) -> Result<(), Refusal> {
        for (name, _) in std::mem::take(&mut self.left) {
            let shown: String = name.chars().take(64).collect();
            let advice = match nearest(&name, self.known.iter().copied()) {
                Some(near) => format!("; did you mean `{near}`?"),
                None if self.known.is_empty() => "; there are none here".to_owned(),
                None => format!("; known are {}", self.known.join(", ")),
            };
            self.wrong(&shown, format!("is not a parameter of this path{advice}"));
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Refusal::fields(self.errors)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_parameter_is_named_at_once() {
        let mut query = Query::read(Some("limit=x&wait=soon&lable=a:b&q=a%20b+c")).unwrap();
        assert_eq!(query.parsed::<usize>("limit", "a number"), None);
        assert_eq!(query.wait(), None);
        assert_eq!(query.text("q").as_deref(), Some("a b c"));
        assert!(query.labels().is_empty());
        let refusal = query.done().unwrap_err();
        let fields: Vec<_> = refusal.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["limit", "wait", "lable"]);
        assert!(refusal.errors[2].message.contains("did you mean `label`"));
    }

    #[test]
    fn waits_are_read_and_held_to_a_minute() {
        for (text, millis) in [
            ("wait=30s", 30_000),
            ("wait=2", 2_000),
            ("wait=500ms", 500),
            ("wait=1h", 0),
            ("wait=9m", 60_000),
        ] {
            let wait = Query::read(Some(text)).unwrap().wait();
            assert_eq!(wait.unwrap_or_default(), Duration::from_millis(millis), "{text}");
        }
        for bad in ["a=%", "a=%f", "a=%ff", "a=%00"] {
            assert!(Query::read(Some(bad)).is_err(), "{bad}");
        }
    }
}
