//! As much HTTP/1.1 as the oracle needs: one request per connection, over a plain socket, so that every break is seen.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long nothing may come before the connection counts as broken.
const SILENCE: Duration = Duration::from_secs(10);

/// A request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// With its query.
    pub(crate) path: &'a str,
    /// Names and values beyond those that every request has.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// JSON.
    pub(crate) body: Option<&'a str>,
}

/// The beginning of an answer, with its body still to be read.
pub(crate) struct Answering {
    pub(crate) status: u16,
    body: Body,
}

/// The bytes of a body, without the framing.
enum Body {
    Length(std::io::Take<BufReader<TcpStream>>),
    Chunked(Chunks<BufReader<TcpStream>>),
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Length(body) => match body.read(buffer)? {
                0 if body.limit() > 0 && !buffer.is_empty() => Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => Ok(read),
            },
            Self::Chunked(body) => body.read(buffer),
        }
    }
}

/// Sends a request and reads the head of the answer.
pub(crate) fn send(to: SocketAddr, request: Request<'_>) -> Result<Answering> {
    let mut stream = TcpStream::connect_timeout(&to, SILENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let Request { method, path, headers, body } = request;
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        text.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body.unwrap_or_default());
    stream.write_all(text.as_bytes())?;
    head(BufReader::new(stream))
}

fn head(mut stream: BufReader<TcpStream>) -> Result<Answering> {
    let first = line(&mut stream)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("{first:?} is no status line"))?;
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = line(&mut stream)?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap_or((&header, ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse()?,
            "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
            _ => {}
        }
    }
    let body = if chunked { Body::Chunked(Chunks::new(stream)) } else { Body::Length(stream.take(length)) };
    Ok(Answering { status, body })
}

/// How an answer is told whose body has no end.
pub(crate) const CUT_OFF: &str = "the body was cut off";

/// A line without its end.
pub(crate) fn line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 || !line.ends_with('\n') {
        bail!("the connection ended within a line");
    }
    Ok(line.trim_end().to_owned())
}

impl Answering {
    /// The whole body.
    ///
    /// # Errors
    /// Also where it is cut off.
    pub(crate) fn text(mut self) -> Result<String> {
        let mut text = String::new();
        self.body.read_to_string(&mut text).context(CUT_OFF)?;
        Ok(text)
    }

    /// Some bytes of a body that comes slowly; none at its proper end.
    pub(crate) fn some(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.body.read(buffer)
    }
}

/// Takes away the framing of `transfer-encoding: chunked`. A body without its last chunk was cut off.
struct Chunks<R> {
    inner: R,
    left: u64,
    ended: bool,
}

impl<R: BufRead> Chunks<R> {
    fn new(inner: R) -> Self {
        Self { inner, left: 0, ended: false }
    }

    fn framing(&mut self) -> std::io::Result<String> {
        line(&mut self.inner).map_err(std::io::Error::other)
    }
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            let size = self.framing()?;
            let size = size.split(';').next().unwrap_or_default();
            self.left = u64::from_str_radix(size, 16).map_err(std::io::Error::other)?;
            if self.left == 0 {
                while !self.framing()?.is_empty() {}
                self.ended = true;
                return Ok(0);
            }
        }
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..want])?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        if self.left == 0 {
            self.framing()?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(text: &str) -> std::io::Result<String> {
        let mut out = String::new();
        Chunks::new(text.as_bytes()).read_to_string(&mut out).map(|_| out)
    }

    #[test]
    fn chunks_lose_their_framing_and_a_cut_is_an_error() {
        assert_eq!(chunks("4\r\nid: \r\n3;x=y\r\n1\n\n\r\n0\r\n\r\n").unwrap(), "id: 1\n\n");
        for cut in ["4\r\nid", "4\r\nid: \r\n", "4\r\nid: \r\n0\r\n", ""] {
            assert!(chunks(cut).is_err(), "{cut:?}");
        }
    }
}
