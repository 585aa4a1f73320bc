//! Tests of the executors, each run by a real worker against a scripted source.

#![expect(clippy::disallowed_methods, reason = "tests look at the folders of commands")]

#[cfg(test)]
mod harness;
#[cfg(test)]
mod http;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod server;
#[cfg(test)]
mod shell;
#[cfg(test)]
mod streams;
