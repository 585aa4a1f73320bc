//! Tasks and keys.

use super::{Database, Dialect, Reader, limit, sql};
use crate::value::{Value, array, number};
use crate::{decode, encode};
use everloop_store::port::{Goes, Order, Part, Read, TaskFilter, TaskRead};
use everloop_store::rows::{End, KeyHash, KeyRow, StateCount, TaskRow};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::time::Timestamp;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// A parameter of a filter, owned where it was made for the filter.
enum Param<'a> {
    Int(i64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
}

impl Param<'_> {
    fn value(&self) -> Value<'_> {
        match self {
            Param::Int(number) => Value::Int(*number),
            Param::Text(text) => Value::Text(text),
            Param::Bytes(bytes) => Value::Bytes(bytes),
        }
    }
}

/// Greater than any id.
const AFTER_ALL: &[u8] = &[0xff; 17];

/// The conditions of a filter, with their parameters from `$1` on. The first one is the tenant.
struct Conditions<'a> {
    dialect: Dialect,
    params: Vec<Param<'a>>,
    /// What the list goes by: a task matches one of these.
    by: Vec<String>,
    /// The index that has it.
    index: Option<&'static str>,
    /// The others.
    others: String,
}

impl<'a> Conditions<'a> {
    fn new(dialect: Dialect, tenant: &'a TenantId, filter: &'a TaskFilter) -> Self {
        let mut this = Self {
            dialect,
            params: vec![Param::Bytes(tenant.0[..].into())],
            by: Vec::new(),
            index: None,
            others: String::new(),
        };
        let find = dialect.find;
        let goes = filter.goes();
        this.index = match goes {
            Goes::ByParent if filter.is_live() => Some("task_live_child"),
            Goes::ByParent => Some("task_child"),
            Goes::BySession => Some("task_session"),
            Goes::ByStates => Some("task_state"),
            Goes::ByKinds => Some("task_kind"),
            Goes::ByQueue => Some("task_queue"),
            Goes::ByPriority => Some("task_priority"),
            Goes::ByAll => None,
        };
        if let Some(parent) = &filter.parent {
            // One whose end is awaited may have had many children.
            let live = if filter.is_live() { " AND t.ended IS NULL" } else { "" };
            let condition = this.condition("t.parent = #", Param::Bytes(parent.0[..].into()));
            this.by = vec![format!("{condition}{live}")];
        }
        if let Some(session) = &filter.session {
            let condition = this.condition("t.session = #", Param::Bytes(session.0[..].into()));
            this.put(goes == Goes::BySession, condition, "");
        }
        if !filter.states.is_empty() {
            let codes = filter.states.iter().map(|state| encode::state(*state));
            if goes == Goes::ByStates {
                let codes: BTreeSet<_> = codes.collect();
                this.by = codes.into_iter().map(|code| format!("t.state = {code}")).collect();
            } else {
                let codes: Vec<_> = codes.map(|code| code.to_string()).collect();
                // The sum keeps the index of states out of it.
                this.other(&format!("t.state + 0 IN ({})", codes.join(", ")));
            }
        }
        if !filter.kinds.is_empty() {
            let kinds: BTreeSet<_> = filter.kinds.iter().collect();
            let kinds: Vec<_> = kinds
                .into_iter()
                .map(|kind| this.condition("t.kind = #", Param::Text(kind.into())))
                .collect();
            if goes == Goes::ByKinds {
                this.by = kinds;
            } else {
                this.other(&format!("({})", kinds.join(" OR ")));
            }
        }
        if let Some(queue) = &filter.queue {
            let condition = this.condition("t.queue = #", Param::Text(queue.into()));
            this.put(goes == Goes::ByQueue, condition, " AND t.queue <> 'default'");
        }
        if let Some(priority) = filter.priority {
            let condition = this.condition("t.priority = #", Param::Int(priority.into()));
            this.put(goes == Goes::ByPriority, condition, " AND t.priority <> 0");
        }
        for (name, value) in &filter.labels {
            let label = Param::Text(encode::label_needle(name, value).into());
            let condition = this.condition(&format!("{find}(t.labels, #) > 0"), label);
            this.other(&condition);
        }
        if let Some(prefix) = &filter.key_prefix {
            // Lengths are counted in characters by both engines.
            let text = format!("substr(t.key, 1, {}) = #", prefix.chars().count());
            let condition = this.condition(&text, Param::Text(prefix.into()));
            this.other(&condition);
        }
        if let Some(part) = &filter.text {
            let text = Param::Text(encode::search_text(part));
            let condition = this.condition(&format!("{find}(t.search, #) > 0"), text);
            this.other(&condition);
        }
        if let Some(by) = &filter.created_by {
            let condition = this.condition("t.created_by = #", Param::Bytes(encode::actor(by).into()));
            this.other(&condition);
        }
        this
    }

    /// A condition with its parameter, which it has as `#`.
    fn condition(&mut self, text: &str, param: Param<'a>) -> String {
        self.params.push(param);
        text.replace('#', &format!("{}{}", self.dialect.mark, self.params.len()))
    }

    fn other(&mut self, condition: &str) {
        self.others.push_str(" AND ");
        self.others.push_str(condition);
    }

    /// Puts a condition where it belongs; `index` is what the index is restricted to.
    fn put(&mut self, is_by: bool, condition: String, index: &str) {
        if is_by {
            self.by = vec![condition + index];
        } else {
            self.other(&condition);
        }
    }

    fn values(&self) -> Vec<Value<'_>> {
        self.params.iter().map(Param::value).collect()
    }

    /// The text of a list between two ids: its parameters come behind those of the conditions, then the limit.
    fn list(&self, order: Order) -> String {
        let (after, upto, direction) = match order {
            Order::Newest => ('<', ">=", "DESC"),
            Order::Oldest => ('>', "<=", "ASC"),
        };
        let param = |further: usize| format!("{}{}", self.dialect.mark, self.params.len() + further);
        let (start, end, limit) = (param(1), param(2), param(3));
        let rest = format!(
            "{} AND t.id {after} {start} AND t.id {upto} {end} ORDER BY t.id {direction} LIMIT {limit}",
            self.others
        );
        let indexed = match self.index {
            Some(index) if self.dialect.indexed_by => format!(" INDEXED BY {index}"),
            Some(_) | None => String::new(),
        };
        let columns = sql::TASKS.sql;
        match &self.by[..] {
            [] => format!("{columns} FROM task AS t WHERE t.tenant = $1{rest}"),
            [by] => format!("{columns} FROM task AS t{indexed} WHERE t.tenant = $1 AND {by}{rest}"),
            several => {
                // Each of them in order by the index, and then the first of all.
                let list = |by| {
                    format!(
                        "SELECT * FROM (SELECT t.* FROM task AS t{indexed} WHERE t.tenant = $1 AND {by}{rest}) AS one"
                    )
                };
                let lists = several.iter().map(list).collect::<Vec<_>>().join(" UNION ALL ");
                format!("{columns} FROM ({lists}) AS t ORDER BY t.id {direction} LIMIT {limit}")
            }
        }
    }

    /// The text of a count: the cap comes behind the parameters of the conditions.
    fn count(&self) -> String {
        let by = if self.by.is_empty() { String::new() } else { format!(" AND ({})", self.by.join(" OR ")) };
        let cap = format!("{}{}", self.dialect.mark, self.params.len() + 1);
        format!("{}{by}{} LIMIT {cap}) AS counted", sql::TASKS_COUNT.sql, self.others)
    }
}

/// Ids before and behind all, in an order.
fn ends(order: Order) -> (&'static [u8], &'static [u8]) {
    match order {
        Order::Newest => (AFTER_ALL, &[]),
        Order::Oldest => (&[], AFTER_ALL),
    }
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
        part: Part,
        rows: usize,
    ) -> Read<Vec<TaskRow>> {
        let conditions = Conditions::new(D::DIALECT, &tenant, filter);
        let mut values = conditions.values();
        let (start, end) = ends(order);
        values.push(Value::Bytes(part.after.as_ref().map_or(start, |id| &id.0)));
        values.push(Value::Bytes(part.upto.as_ref().map_or(end, |id| &id.0)));
        values.push(limit(rows));
        self.list_text(&sql::TASKS, &conditions.list(order), &values, decode::task_row)
    }

    fn task_behind(
        &self,
        tenant: TenantId,
        order: Order,
        after: Option<TaskId>,
        places: u32,
    ) -> Read<Option<TaskId>> {
        let Some(before) = places.checked_sub(1) else { return Ok(None) };
        let statement = match order {
            Order::Newest => &sql::TASK_BEFORE,
            Order::Oldest => &sql::TASK_BEHIND,
        };
        let start = after.as_ref().map_or(ends(order).0, |id| &id.0);
        let params = [Value::Bytes(&tenant.0), Value::Bytes(start), Value::Int(before.into())];
        self.one(statement, &params, |row| Ok(TaskId(array(row, 0)?)))
    }

    fn tasks_count(&self, tenant: TenantId, filter: &TaskFilter, cap: u64) -> Read<u64> {
        let conditions = Conditions::new(D::DIALECT, &tenant, filter);
        let mut values = conditions.values();
        values.push(Value::Int(encode::int(cap)));
        let counts: Vec<u64> =
            self.list_text(&sql::TASKS_COUNT, &conditions.count(), &values, |row| number(row, 0))?;
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
    use everloop_types::id::SessionId;
    use everloop_types::state::State;

    /// The text of a list, for tests of its plan.
    pub(crate) fn text(dialect: Dialect, filter: &TaskFilter, order: Order) -> String {
        Conditions::new(dialect, &TenantId::DEFAULT, filter).list(order)
    }

    /// Lists, and the index by which both engines must go.
    pub(crate) fn lists() -> Vec<(TaskFilter, &'static str)> {
        let all = TaskFilter::default;
        let states = |states: &[State]| TaskFilter { states: states.to_vec(), ..all() };
        let kinds = vec!["a".to_owned(), "b".to_owned()];
        let parent = Some(TaskId([1; 16]));
        vec![
            (all(), "task_pkey"),
            (TaskFilter { queue: Some("default".to_owned()), priority: Some(0), ..all() }, "task_pkey"),
            (
                TaskFilter { text: Some("x".to_owned()), key_prefix: Some("x".to_owned()), ..all() },
                "task_pkey",
            ),
            (states(&[State::Failed]), "task_state"),
            (states(&[State::Queued, State::Waiting, State::Completed]), "task_state"),
            (TaskFilter { kinds: kinds[..1].to_vec(), ..states(&[State::Running]) }, "task_state"),
            (TaskFilter { kinds: kinds[..1].to_vec(), ..states(&[State::Completed]) }, "task_kind"),
            (TaskFilter { kinds, ..all() }, "task_kind"),
            (TaskFilter { queue: Some("low".to_owned()), ..states(&[State::Failed]) }, "task_queue"),
            (TaskFilter { priority: Some(7), ..all() }, "task_priority"),
            (TaskFilter { session: Some(SessionId([1; 16])), ..all() }, "task_session"),
            (TaskFilter { parent, ..all() }, "task_child"),
            (TaskFilter { parent, ..states(&[State::Completed, State::Running]) }, "task_child"),
            (TaskFilter { parent, ..states(&[State::Waiting, State::Running]) }, "task_live_child"),
        ]
    }

    #[test]
    fn parameters_are_numbered_as_they_come() {
        let filter = TaskFilter {
            queue: Some("q".into()),
            kinds: vec!["a".into()],
            key_prefix: Some("ä".into()),
            ..TaskFilter::default()
        };
        let text = text(Dialect::POSTGRES, &filter, Order::Newest);
        let (_, conditions) = text.split_once("t.tenant = $1").unwrap();
        assert_eq!(
            conditions,
            " AND t.kind = $2 AND t.queue = $3 AND substr(t.key, 1, 1) = $4 AND t.id < $5 AND t.id >= $6 \
             ORDER BY t.id DESC LIMIT $7"
        );
    }
}
