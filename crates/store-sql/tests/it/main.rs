//! Both engines under the conformance suite, and what each of them promises beside it.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is test code")]
#![expect(clippy::disallowed_methods, reason = "tests look at the files of the database")]

mod disk;
mod disk_faults;
mod engines;
mod everything;
mod files;
mod guards;
mod migrations;
mod postgres_server;
mod sample;

use disk::open_simulated;
use engines::{open_postgres, open_sqlite};

everloop_store::store_suite!(sqlite, open_sqlite);
everloop_store::store_suite!(simulated, open_simulated);
everloop_store::store_suite!(postgres, open_postgres);
