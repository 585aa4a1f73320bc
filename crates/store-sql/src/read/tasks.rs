//! Tasks and keys.

use super::{Database, Reader, limit, sql};
use crate::value::{Value, number};
use crate::{decode, encode};
use everloop_store::port::{Order, Read, TaskFilter, TaskRead};
use everloop_store::rows::{End, KeyHash, KeyRow, StateCount, TaskRow};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::time::Timestamp;
use std::borrow::Cow;
use std::fmt::Write;

/// A parameter of a filter, owned where it was made for the filter.
enum Param<'a> {
    Int(i64),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
}

/// Greater than any id.
const AFTER_ALL: &[u8] = &[0xff; 17];

/// The conditions of a filter after `tenant = $1`, and their parameters from `$1` on.
fn conditions<'a>(find: &str, tenant: &'a TenantId, filter: &'a TaskFilter) -> (String, Vec<Param<'a>>) {
    let mut text = String::new();
    let mut params = vec![Param::Bytes(&tenant.0)];
    let mut add = |condition: &str, param: Param<'a>| {
        params.push(param);
        text.push_str(" AND ");
        text.push_str(&condition.replace('?', &format!("${}", params.len())));
    };
    if let Some(queue) = &filter.queue {
        add("t.queue = ?", Param::Text(queue.into()));
    }
    if let Some(priority) = filter.priority {
        add("t.priority = ?", Param::Int(priority.into()));
    }
    for (name, value) in &filter.labels {
        add(&format!("{find}(t.labels, ?) > 0"), Param::Text(encode::label_needle(name, value).into()));
    }
    if let Some(parent) = &filter.parent {
        add("t.parent = ?", Param::Bytes(&parent.0));
    }
    if let Some(session) = &filter.session {
        add("t.session = ?", Param::Bytes(&session.0));
    }
    if let Some(prefix) = &filter.key_prefix {
        // Lengths are counted in characters by both engines.
        add(&format!("substr(t.key, 1, {}) = ?", prefix.chars().count()), Param::Text(prefix.into()));
    }
    if let Some(part) = &filter.text {
        add(&format!("{find}(t.search, ?) > 0"), Param::Text(encode::search_text(part)));
    }
    if let Some(by) = &filter.created_by {
        add("t.created_by = ?", Param::Text(by.into()));
    }
    if let Some((first, rest)) = filter.kinds.split_first() {
        add("(t.kind = ?", Param::Text(first.into()));
        for kind in rest {
            params.push(Param::Text(kind.into()));
            // A write to a string can't fail.
            let _ = write!(text, " OR t.kind = ${}", params.len());
        }
        text.push(')');
    }
    if !filter.states.is_empty() {
        let codes: Vec<String> =
            filter.states.iter().map(|state| encode::state(*state).to_string()).collect();
        let _ = write!(text, " AND t.state IN ({})", codes.join(", "));
        if filter.states.iter().all(|state| !state.is_terminal()) {
            text.push_str(" AND t.ended IS NULL");
        }
    }
    if filter.dead_letters {
        // As the partial index says it.
        text.push_str(" AND t.ended = 8");
    }
    (text, params)
}

fn values<'a>(params: &'a [Param<'_>]) -> Vec<Value<'a>> {
    let value = |param: &'a Param<'_>| match param {
        Param::Int(number) => Value::Int(*number),
        Param::Text(text) => Value::Text(text),
        Param::Bytes(bytes) => Value::Bytes(bytes),
    };
    params.iter().map(value).collect()
}

/// The text and parameters of a list.
fn list_text(order: Order, conditions: &str, params: usize) -> String {
    let (compare, direction) = match order {
        Order::Newest => ('<', "DESC"),
        Order::Oldest => ('>', "ASC"),
    };
    let (after, limit) = (params + 1, params + 2);
    format!(
        "{}{conditions} AND t.id {compare} ${after} ORDER BY t.id {direction} LIMIT ${limit}",
        sql::TASKS.sql
    )
}

impl<D: Database> TaskRead for Reader<D> {
    fn task(&self, tenant: TenantId, id: TaskId) -> Read<Option<TaskRow>> {
        self.one(&sql::TASK, &[Value::Bytes(&tenant.0), Value::Bytes(&id.0)], decode::task_row)
    }

    fn key(&self, hash: &KeyHash) -> Read<Option<KeyRow>> {
        self.one(&sql::KEY, &[Value::Bytes(hash)], decode::key_row)
    }

    fn tasks(
        &self,
        tenant: TenantId,
        filter: &TaskFilter,
        order: Order,
        after: Option<TaskId>,
        rows: usize,
    ) -> Read<Vec<TaskRow>> {
        let (conditions, params) = conditions(D::FIND, &tenant, filter);
        let text = list_text(order, &conditions, params.len());
        let mut values = values(&params);
        let start: &[u8] = match (&after, order) {
            (Some(id), _) => &id.0,
            (None, Order::Newest) => AFTER_ALL,
            (None, Order::Oldest) => &[],
        };
        values.push(Value::Bytes(start));
        values.push(limit(rows));
        self.list_text(&sql::TASKS, &text, &values, decode::task_row)
    }

    fn tasks_count(&self, tenant: TenantId, filter: &TaskFilter, cap: u64) -> Read<u64> {
        let (conditions, params) = conditions(D::FIND, &tenant, filter);
        let text = format!("{}{conditions} LIMIT ${}) AS counted", sql::TASKS_COUNT.sql, params.len() + 1);
        let mut values = values(&params);
        values.push(Value::Int(encode::int(cap)));
        let counts: Vec<u64> = self.list_text(&sql::TASKS_COUNT, &text, &values, |row| number(row, 0))?;
        Ok(counts.into_iter().sum())
    }

    fn state_counts(&self, tenant: TenantId) -> Read<Vec<StateCount>> {
        self.list(&sql::STATE_COUNTS, &[Value::Bytes(&tenant.0)], |row| {
            Ok(StateCount {
                queue: row.text(0)?.to_owned(),
                state: decode::state(row, 1)?,
                tasks: number(row, 2)?,
                running_us: number(row, 3)?,
                event_bytes: number(row, 4)?,
            })
        })
    }

    fn finished(&self, after: Option<End>, before: Timestamp, rows: usize) -> Read<Vec<TaskRow>> {
        let (at, task) = after.unwrap_or((Timestamp::MIN, TaskId([0; 16])));
        let params =
            [Value::Int(at.as_micros()), Value::Bytes(&task.0), Value::Int(before.as_micros()), limit(rows)];
        self.list(&sql::FINISHED, &params, decode::task_row)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The text of a list, for tests of its plan.
    pub(crate) fn text(find: &str, filter: &TaskFilter, order: Order) -> String {
        let (conditions, params) = conditions(find, &TenantId::DEFAULT, filter);
        list_text(order, &conditions, params.len())
    }

    #[test]
    fn parameters_are_numbered_as_they_come() {
        let filter = TaskFilter {
            queue: Some("q".into()),
            kinds: vec!["a".into(), "b".into()],
            key_prefix: Some("ä".into()),
            ..TaskFilter::default()
        };
        let text = text("instr", &filter, Order::Newest);
        let (_, conditions) = text.split_once("t.tenant = $1").unwrap();
        assert_eq!(
            conditions,
            " AND t.queue = $2 AND substr(t.key, 1, 1) = $3 AND (t.kind = $4 OR t.kind = $5) AND t.id < $6 \
             ORDER BY t.id DESC LIMIT $7"
        );
    }
}
