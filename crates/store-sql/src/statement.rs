//! Every statement has a name and knows on which engine it ran: a suite that leaves one out fails.

use std::sync::atomic::{AtomicBool, Ordering};

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// A statement with its name. Parameters are `$1`, `$2` …, first used in this order: SQLite numbers them so.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
    /// Its place in its list.
    pub(crate) slot: usize,
    ran: [AtomicBool; 2],
}

impl Statement {
    pub(crate) const fn new(slot: usize, name: &'static str, sql: &'static str) -> Self {
        Self { name, sql, slot, ran: [AtomicBool::new(false), AtomicBool::new(false)] }
    }

    /// Notes that it ran.
    pub(crate) fn ran(&self, engine: Engine) {
        self.ran[engine as usize].store(true, Ordering::Relaxed);
    }
}

/// Makes a static for each statement, and the list `ALL` of them.
macro_rules! statements {
    ($($(#[doc = $doc:literal])* $name:ident = $sql:expr;)*) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "numbers the statements")]
        enum Slot { $($name,)* }
        $($(#[doc = $doc])* pub(crate) static $name: $crate::statement::Statement =
            $crate::statement::Statement::new(Slot::$name as usize, stringify!($name), $sql);)*
        pub(crate) static ALL: &[&$crate::statement::Statement] = &[$(&$name,)*];
    };
}
pub(crate) use statements;

/// Names of the statements that this process has not yet run on an engine. For tests: after the suite there must be none.
pub fn statements_never_run(engine: Engine) -> Vec<&'static str> {
    let own = match engine {
        Engine::Sqlite => crate::sqlite::sql::ALL,
        Engine::Postgres => crate::postgres::sql::ALL,
    };
    own.iter()
        .chain(crate::read::sql::ALL)
        .filter(|statement| !statement.ran[engine as usize].load(Ordering::Relaxed))
        .map(|statement| statement.name)
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn parameters_are_first_used_in_their_order() {
        let all = [crate::sqlite::sql::ALL, crate::postgres::sql::ALL, crate::read::sql::ALL];
        for statement in all.into_iter().flatten() {
            let mut highest = 0;
            for piece in statement.sql.split('$').skip(1) {
                let digits: String = piece.chars().take_while(char::is_ascii_digit).collect();
                let number: u32 = digits.parse().unwrap();
                assert!(number <= highest + 1, "{}: ${number} after ${highest}", statement.name);
                highest = highest.max(number);
            }
        }
    }
}
