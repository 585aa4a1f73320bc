//! The real program, as a newcomer would use it: each test with a folder, a port and servers of its own.

#[cfg(test)]
mod backup;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod folder;
#[cfg(test)]
mod functions;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod help;
#[cfg(test)]
mod idle;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod mcp_calls;
#[cfg(test)]
mod mcp_stdio;
#[cfg(test)]
mod offline;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod remote;
#[cfg(test)]
mod run;
#[cfg(test)]
mod shown;
#[cfg(test)]
mod tasks;
#[cfg(test)]
mod wrong;
#[cfg(test)]
mod wrong_settings;
