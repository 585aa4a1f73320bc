//! What waits for workers, times and others; workers.

use super::{Database, Reader, limit, sql};
use crate::decode;
use crate::value::{Value, array, number, time};
use everloop_store::port::{QueueRead, Read, WorkerRead};
use everloop_store::rows::{DependencyRow, Depth, Lane, LaneId, LeaseRow, OutboxRow, TimerRow};
use everloop_types::id::{TaskId, TenantId, WorkerId};
use everloop_types::time::Timestamp;
use everloop_types::worker::Worker;

impl<D: Database> QueueRead for Reader<D> {
    fn lanes(&self) -> Read<Vec<(LaneId, Lane)>> {
        self.list(&sql::LANES, &[], decode::lane)
    }

    fn depths(&self) -> Read<Vec<Depth>> {
        self.list(&sql::DEPTHS, &[], |row| {
            Ok(Depth {
                lane: LaneId(row.int(0)?),
                tenant: TenantId(array(row, 1)?),
                tasks: number(row, 2)?,
                oldest: time(row, 3)?,
            })
        })
    }

    fn leases(&self) -> Read<Vec<LeaseRow>> {
        self.list(&sql::LEASES, &[], decode::lease_row)
    }

    fn timers_due(&self, at: Timestamp, rows: usize) -> Read<Vec<TimerRow>> {
        self.list(&sql::TIMERS_DUE, &[Value::Int(at.as_micros()), limit(rows)], decode::timer_row)
    }

    fn next_timer(&self) -> Read<Option<Timestamp>> {
        self.one(&sql::NEXT_TIMER, &[], |row| time(row, 0))
    }

    fn outbox(&self, rows: usize) -> Read<Vec<OutboxRow>> {
        self.list(&sql::OUTBOX, &[limit(rows)], decode::outbox_row)
    }

    fn dependents(&self, task: TaskId, rows: usize) -> Read<Vec<DependencyRow>> {
        self.list(&sql::DEPENDENTS, &[Value::Bytes(&task.0), limit(rows)], decode::dependency_row)
    }

    fn live_children(&self, tenant: TenantId, parent: TaskId, rows: usize) -> Read<Vec<TaskId>> {
        let params = [Value::Bytes(&parent.0), Value::Bytes(&tenant.0), limit(rows)];
        self.list(&sql::LIVE_CHILDREN, &params, |row| array(row, 0).map(TaskId))
    }

    fn paused_queues(&self) -> Read<Vec<String>> {
        self.list(&sql::PAUSED_QUEUES, &[], |row| row.text(0).map(str::to_owned))
    }
}

impl<D: Database> WorkerRead for Reader<D> {
    fn workers(&self) -> Read<Vec<Worker>> {
        self.list(&sql::WORKERS, &[], decode::worker)
    }

    fn worker(&self, id: WorkerId) -> Read<Option<Worker>> {
        self.one(&sql::WORKER, &[Value::Bytes(&id.0)], decode::worker)
    }
}
