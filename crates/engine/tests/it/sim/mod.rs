//! A deterministic simulation of the real engine, pipeline, worker loop and live tail.
//!
//! One thread, virtual time, one seed. Only the clocks, chance, the network and the medium are replaced. Servers run one after
//! the other on the same medium; workers live in them or elsewhere; clients and followers talk to them over a network that
//! loses, delays and doubles. [`plan`] draws what a run is made of, [`run`] plays it, [`oracle`] says what must hold.
//!
//! `cargo xtask sim --seeds N` runs many seeds; a seed that fails is printed with its options, and does the same again.

mod acts;
mod chaos;
mod client;
mod dice;
mod disk;
mod executor;
mod follower;
mod machine;
mod medium;
mod net;
mod oracle;
mod plan;
mod program;
mod run;
mod seeds;
mod server;
mod world;
