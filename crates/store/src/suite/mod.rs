//! The conformance suite: what every engine of a store has to do, one test a case; and the differential test.
//!
//! An engine plugs in with a function that opens an empty database, and one line in its `tests/it/main.rs` (with the feature
//! `suite` of this crate among its dev-dependencies):
//!
//! ```ignore
//! fn open_sqlite() -> Harness {
//!     open_at(Arc::new(tempfile::tempdir().unwrap()))
//! }
//!
//! fn open_at(folder: Arc<TempDir>) -> Harness {
//!     let store = Sqlite::open(folder.path()).unwrap();
//!     let again = Arc::clone(&folder);
//!     Harness {
//!         name: "sqlite",
//!         writer: Box::new(store.writer),
//!         reader: store.reader,                       // Arc<dyn ReadStore>
//!         blob: store.blob,                           // Arc<dyn Blob>
//!         own_clock: false,                           // true where `load` answers with the database's time
//!         another: None,                              // another server's writer on the same database (PostgreSQL)
//!         reopen: Box::new(move || open_at(again)),   // called after writer, reader and blob were dropped
//!     }
//! }
//!
//! everloop_store::store_suite!(sqlite, open_sqlite);
//! ```
//!
//! The function may also give `Option<Harness>`: `None` (say, no PostgreSQL to be had) passes every case unseen, so decide
//! that in one place and say so. Each call must give a database of its own: cases run side by side. A database begins with
//! its [`Installation`](crate::rows::Installation), and with no tenant, worker, lane or key.
//!
//! What the suite holds engines to beyond the words of the ports:
//! - A write set is applied in this order: heads and new keys are compared; events and records of the streams that stay are
//!   written; then their rows, in order; then the rows of the set. Of two streams with the same new key the first one stays.
//!   Rows of one table that follow each other in a set act as if they were written one by one: the last one wins.
//! - [`WriteSet::validate`](crate::work::WriteSet::validate) is called by every engine before anything else in `commit`.
//! - A stream without events is only compared (`expected`), for rows that must not outlive a moved head: renewals.
//! - Lease, queue, timer and outbox rows need their task, a dependency both tasks, a use of a blob the task and the blob;
//!   otherwise the commit is [`StoreError::Bug`](crate::error::StoreError::Bug) and nothing is written. A key and a lease's
//!   worker need nothing.
//! - [`Row::BlobDelete`](crate::work::Row::BlobDelete) leaves a blob alone that an event names by now.
//! - `rows_written` counts each event, record and row that was inserted, replaced or deleted as one.

#![expect(clippy::unwrap_used, reason = "the suite is test code, behind a feature of its own")]

pub mod commit;
pub mod dice;
pub mod differential;
pub mod events;
mod fixtures;
mod harness;
pub mod installation;
pub mod load;
pub mod queue;
pub mod tasks;
pub mod together;

pub use differential::differential;
pub use harness::{Harness, run};

/// Makes a module with one `#[test]` for each case of the suite: `store_suite!(module, open)`.
#[macro_export]
macro_rules! store_suite {
    ($module:ident, $open:ident) => {
        mod $module {
            $crate::store_suite! { @modules $open
                commit {
                    submitted_task_reads_back
                    tenants_do_not_see_each_other
                    foreign_stream_comes_back
                    moved_head_comes_back_alone
                    taken_key_comes_back_alone
                    first_of_two_new_keys_stays
                    stream_without_events_is_compared
                    rows_act_in_order
                    empty_set_is_nothing
                    large_set_is_written_whole
                    rows_written_counts_events_records_and_rows
                    rows_without_their_task_are_refused
                    malformed_sets_are_refused
                    commits_survive_a_reopening
                }
                load {
                    missing_things_are_absent
                    tasks_come_with_head_and_lease
                    heads_of_other_streams
                    relations_are_found_when_asked_for
                    ready_tasks_come_in_order_per_tenant
                    full_concurrency_keys_are_passed_over
                }
                tasks {
                    record_reads_back_with_every_field
                    subject_and_signature_are_kept
                    filters_match_what_they_say
                    changed_task_is_found_by_its_new_fields
                    pages_follow_one_another
                    states_are_counted_with_usage
                    finished_tasks_are_found_by_time
                }
                events {
                    events_come_in_pages
                    payload_comes_back_byte_for_byte
                    stored_chain_verifies
                    feed_has_every_event_in_order
                    last_audit_segment_is_known
                    erased_payloads_leave_their_hashes
                    trimmed_stream_begins_behind_its_anchor
                    deleted_stream_goes_with_all_its_rows
                    envelopes_keep_every_field
                }
                queue {
                    lanes_are_kept_once
                    depths_count_by_lane_and_tenant
                    leases_are_put_and_deleted
                    timers_are_due_in_order
                    dependencies_are_put_and_deleted
                    outbox_is_put_and_deleted
                    living_children_are_listed
                    paused_queues_are_known
                }
                installation {
                    installation_is_made_once
                    workers_are_put_and_deleted
                    tenants_are_put
                    signing_keys_are_put
                    unused_blobs_are_found_and_used_ones_stay
                    blob_bytes_are_kept
                    jobs_are_put_and_deleted
                    keys_move_from_task_to_task
                    installation_is_replaced
                    snapshot_holds_still
                }
                together {
                    follower_of_the_feed_misses_nothing
                    one_of_many_writers_gets_through
                }
            }
        }
    };
    (@modules $open:ident $($area:ident { $($case:ident)* })*) => {
        $(mod $area { $crate::store_suite! { @cases $open $area $($case)* } })*
    };
    (@cases $open:ident $area:ident $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::suite::run(super::super::$open, $crate::suite::$area::$case);
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    /// A case that the macro does not list would never run.
    #[test]
    fn the_macro_lists_every_case() {
        let list = include_str!("mod.rs");
        for source in [
            include_str!("commit.rs"),
            include_str!("events.rs"),
            include_str!("installation.rs"),
            include_str!("load.rs"),
            include_str!("queue.rs"),
            include_str!("tasks.rs"),
            include_str!("together.rs"),
        ] {
            for case in source.lines().filter_map(|line| line.strip_prefix("pub fn ")?.split('(').next()) {
                assert!(list.lines().any(|line| line.trim() == case), "{case}");
            }
        }
    }
}
