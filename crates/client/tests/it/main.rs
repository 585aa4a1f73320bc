//! The client against a server that does what a test says.

#[cfg(test)]
mod feed;
#[cfg(test)]
mod follow;
#[cfg(test)]
mod repeat;
#[cfg(test)]
mod script;
