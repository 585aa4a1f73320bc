//! The engine over the in-memory store.

#[cfg(test)]
mod claims;
#[cfg(test)]
mod code;
#[cfg(test)]
mod crowded;
#[cfg(test)]
mod embedded;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod full;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod housekeep;
#[cfg(test)]
mod large;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod live;
#[cfg(test)]
mod rebuild;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod torn;
#[cfg(test)]
mod unknown;
#[cfg(test)]
mod unread;
#[cfg(test)]
mod waits;
#[cfg(test)]
mod worker;
