//! The real server on port 0, over a database in memory and a scripted worker.

#[cfg(test)]
mod acts;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod followers;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod http;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod proof;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod status;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod submit;
#[cfg(test)]
mod trimmed;
#[cfg(test)]
mod ui;
#[cfg(test)]
mod websocket;
