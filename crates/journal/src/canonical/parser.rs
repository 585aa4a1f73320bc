//! One pass from foreign text to canonical text.

use super::error::Fail;
use super::number::{self, Canonical};
use super::text::{compare_utf16, plain_len, write_char};
use super::{NotCanonical, Reason};
use everloop_types::limits;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

type Result<T> = std::result::Result<T, Box<Fail>>;

/// One pass over the text. What is canonical already is copied in runs as long as they come; whitespace, escapes and
/// numbers that are written otherwise end a run, and only objects whose members arrive out of order are put together again.
struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Where the part of the text begins that is canonical and not copied yet.
    run: usize,
    out: String,
    /// Members of all open objects, innermost last.
    members: Vec<Member>,
    number: ryu_js::Buffer,
}

#[derive(Clone, Copy)]
struct Member {
    /// The name in the text, with its quotes.
    name: (usize, usize),
    escaped: bool,
    /// Where the member will begin in the output.
    begin: usize,
}

pub(super) fn run(text: &str) -> std::result::Result<String, NotCanonical> {
    let mut parser = Parser {
        text,
        bytes: text.as_bytes(),
        at: 0,
        run: 0,
        out: String::with_capacity(text.len()),
        members: Vec::new(),
        number: ryu_js::Buffer::new(),
    };
    match parser.document() {
        Ok(()) => Ok(parser.out),
        Err(fail) => Err(fail.finish()),
    }
}

impl<'a> Parser<'a> {
    fn document(&mut self) -> Result<()> {
        self.skip_space();
        self.value(0)?;
        self.skip_space();
        if self.at < self.bytes.len() {
            return Err(self.fail(Reason::TrailingText));
        }
        self.flush();
        Ok(())
    }

    fn fail(&self, reason: Reason) -> Box<Fail> {
        Fail::new(reason, self.at)
    }

    fn expected(&self, what: &'static str) -> Box<Fail> {
        self.fail(if self.at < self.bytes.len() { Reason::Syntax(what) } else { Reason::UnexpectedEnd })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn flush(&mut self) {
        self.out.push_str(&self.text[self.run..self.at]);
        self.run = self.at;
    }

    /// Length of the output once everything up to here is copied.
    fn written(&self) -> usize {
        self.out.len() + (self.at - self.run)
    }

    fn skip_space(&mut self) {
        let space = |c: &u8| matches!(c, b' ' | b'\t' | b'\n' | b'\r');
        if self.bytes.get(self.at).is_some_and(space) {
            self.flush();
            self.at += self.bytes[self.at..].iter().take_while(|c| space(c)).count();
            self.run = self.at;
        }
    }

    fn value(&mut self, depth: usize) -> Result<()> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.expected("a value was expected")),
        }
    }

    fn word(&mut self, word: &'static str) -> Result<()> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected("a value was expected: true, false and null are written in lower case"));
        }
        self.at += word.len();
        Ok(())
    }

    fn enter(&mut self, depth: usize) -> Result<()> {
        if depth > limits::JSON_DEPTH {
            return Err(self.fail(Reason::TooDeep));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<()> {
        self.enter(depth)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        for index in 0.. {
            self.value(depth).map_err(|fail| fail.in_item(index))?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    break;
                }
                _ => return Err(self.expected("a comma or ] was expected")),
            }
            self.skip_space();
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<()> {
        self.enter(depth)?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let base = self.members.len();
        let mut sorted = true;
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.expected("the name of a member was expected, in double quotes"));
            }
            let begin = self.written();
            let start = self.at;
            let escaped = self.string()?;
            let member = Member { name: (start, self.at), escaped, begin };
            if let Some(last) = self.members[base..].last()
                && sorted
            {
                sorted = compare_utf16(&self.name(*last), &self.name(member)) == Ordering::Less;
            }
            self.members.push(member);
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.expected("a colon was expected"));
            }
            self.at += 1;
            self.skip_space();
            if let Err(fail) = self.value(depth) {
                return Err(fail.in_member(&self.name(member)));
            }
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.expected("a comma or } was expected")),
            }
            self.skip_space();
        }
        if !sorted {
            self.sort(base)?;
        }
        self.members.truncate(base);
        self.at += 1;
        Ok(())
    }

    fn name(&self, member: Member) -> Cow<'a, str> {
        let (start, end) = member.name;
        if member.escaped {
            // The string was read already, so serde_json can't refuse it.
            Cow::Owned(serde_json::from_str(&self.text[start..end]).unwrap_or_default())
        } else {
            Cow::Borrowed(&self.text[start + 1..end - 1])
        }
    }

    /// Puts the members of the innermost object in order. The text has been read up to its closing brace.
    fn sort(&mut self, base: usize) -> Result<()> {
        self.flush();
        let open = &self.members[base..];
        let mut parts: Vec<(Cow<'a, str>, usize, Range<usize>)> = Vec::with_capacity(open.len());
        for (i, member) in open.iter().enumerate() {
            let end = open.get(i + 1).map_or(self.out.len(), |next| next.begin - 1);
            parts.push((self.name(*member), member.name.0, member.begin..end));
        }
        parts.sort_by(|a, b| compare_utf16(&a.0, &b.0).then(a.1.cmp(&b.1)));
        let twice = parts.windows(2).filter(|pair| pair[0].0 == pair[1].0).min_by_key(|pair| pair[1].1);
        if let Some(pair) = twice {
            return Err(Fail::new(Reason::DuplicateKey, pair[1].1).in_member(&pair[1].0));
        }
        let begin = open.first().map_or(self.out.len(), |first| first.begin);
        let mut body = String::with_capacity(self.out.len() - begin);
        for (i, (_, _, range)) in parts.into_iter().enumerate() {
            if i > 0 {
                body.push(',');
            }
            body.push_str(&self.out[range]);
        }
        self.out.truncate(begin);
        self.out.push_str(&body);
        Ok(())
    }

    fn number(&mut self) -> Result<()> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.expected("a digit was expected")),
        }
        if let Some(b'0'..=b'9') = self.peek() {
            return Err(self.expected("a number may not begin with 0"));
        }
        let mut integer = true;
        if self.peek() == Some(b'.') {
            integer = false;
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            integer = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        match number::canonical(&self.text[start..self.at], integer, &mut self.number) {
            Ok(Canonical::Same) => {}
            Ok(Canonical::Other(written)) => {
                self.out.push_str(&self.text[self.run..start]);
                self.out.push_str(written);
                self.run = self.at;
            }
            Err(reason) => return Err(Fail::new(reason, start)),
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<()> {
        let digits = self.bytes[self.at..].iter().take_while(|c| c.is_ascii_digit()).count();
        self.at += digits;
        if digits == 0 { Err(self.expected("a digit was expected")) } else { Ok(()) }
    }

    /// Reads a string; whether it has escapes.
    fn string(&mut self) -> Result<bool> {
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at += plain_len(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => {
                    return Err(self.expected("control characters are written as \\u escapes in a string"));
                }
                None => return Err(self.fail(Reason::UnexpectedEnd)),
            }
        }
    }

    fn escape(&mut self) -> Result<()> {
        let start = self.at;
        let c = match self.bytes.get(start + 1) {
            // These stay as they are.
            Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                return Ok(());
            }
            Some(b'/') => {
                self.at += 2;
                '/'
            }
            Some(b'u') => {
                let unit = self.code_unit()?;
                let code = match unit {
                    0xd800..=0xdbff if self.bytes[self.at..].starts_with(b"\\u") => match self.code_unit()? {
                        low @ 0xdc00..=0xdfff => 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00),
                        _ => unit,
                    },
                    _ => unit,
                };
                char::from_u32(code).ok_or_else(|| Fail::new(Reason::LoneSurrogate, start))?
            }
            Some(_) => return Err(self.expected("one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u was expected")),
            None => return Err(self.fail(Reason::UnexpectedEnd)),
        };
        self.out.push_str(&self.text[self.run..start]);
        write_char(&mut self.out, c);
        self.run = self.at;
        Ok(())
    }

    /// Reads `\uXXXX`; the caller has seen the `\u`.
    fn code_unit(&mut self) -> Result<u32> {
        let mut unit = 0;
        for i in 2..6 {
            let digit = match self.bytes.get(self.at + i) {
                Some(c @ b'0'..=b'9') => c - b'0',
                Some(c @ b'a'..=b'f') => c - b'a' + 10,
                Some(c @ b'A'..=b'F') => c - b'A' + 10,
                Some(_) => {
                    return Err(self.fail(Reason::Syntax("four hexadecimal digits were expected after \\u")));
                }
                None => return Err(self.fail(Reason::UnexpectedEnd)),
            };
            unit = unit << 4 | u32::from(digit);
        }
        self.at += 6;
        Ok(unit)
    }
}
