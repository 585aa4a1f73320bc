//! What tasks do, written down in their input: so what they must end with is known before.

use super::dice::Dice;
use super::plan::Plan;
use everloop_types::json::Json;
use everloop_types::step::OnUnknown;
use serde::{Deserialize, Serialize};

/// The kind of the simulation's tasks.
pub(crate) const KIND: &str = "sim";

/// One thing after the other; then, maybe, another task goes on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) ops: Vec<Op>,
    pub(crate) then: Option<Box<Program>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Op {
    /// Acts on the world once, in the middle of its time.
    Step {
        name: String,
        ms: u64,
        fails: u32,
        fatal: bool,
        on_unknown: OnUnknown,
    },
    /// A step that fails for good, which the code takes for an outcome.
    Caught {
        name: String,
        ms: u64,
    },
    Sleep {
        name: String,
        ms: u64,
    },
    /// Two of a name are sent different words.
    Input {
        name: String,
        word: String,
    },
    Ask {
        name: String,
    },
    /// Branches that run beside each other.
    Parallel {
        branches: Vec<Vec<Op>>,
    },
    /// Branches of which the first to end counts.
    Race {
        name: String,
        branches: Vec<Vec<Op>>,
    },
    /// A gate for a change of the code.
    Version {
        name: String,
    },
    /// Submits a task of its own and waits for its end.
    Child {
        name: String,
        leave: bool,
        program: Program,
    },
    /// Events, progress and a log line.
    Talk {
        name: String,
        events: u32,
    },
}

impl Program {
    pub(crate) fn json(&self) -> Json {
        everloop_journal::canonical::to_canonical(self).unwrap()
    }

    /// What a task of it gives, if it comes to its end: each part says its word.
    pub(crate) fn result(&self) -> Json {
        let mut words = Vec::new();
        self.ops.iter().for_each(|op| op.words(&mut words));
        everloop_journal::canonical::to_canonical(&words).unwrap()
    }

    /// Visits every operation, those of branches too, and not those of children.
    pub(crate) fn each<'a>(&'a self, visit: &mut dyn FnMut(&'a Op)) {
        fn walk<'a>(ops: &'a [Op], visit: &mut dyn FnMut(&'a Op)) {
            for op in ops {
                visit(op);
                if let Op::Parallel { branches } | Op::Race { branches, .. } = op {
                    branches.iter().for_each(|branch| walk(branch, visit));
                }
            }
        }
        walk(&self.ops, visit);
    }

    pub(crate) fn has_children(&self) -> bool {
        let mut found = false;
        self.each(&mut |op| found |= matches!(op, Op::Child { .. }));
        found
    }

    /// Names of the inputs that it takes, in order, and what they are sent.
    pub(crate) fn inputs(&self) -> Vec<(String, String)> {
        let mut inputs = Vec::new();
        self.each(&mut |op| {
            if let Op::Input { name, word } = op {
                inputs.push((name.clone(), word.clone()));
            }
        });
        inputs
    }

    /// Whether some step fails so often, or so, that a task with so many tries fails.
    pub(crate) fn fails(&self, tries: u32) -> bool {
        let mut found = false;
        self.each(&mut |op| {
            if let Op::Step { fails, fatal, .. } = op {
                found |= *fails > 0 && (*fatal || *fails >= tries);
            }
        });
        found
    }

    /// Whether a step of it may end the task because nobody knows whether it happened.
    pub(crate) fn gives_up_in_doubt(&self) -> bool {
        let mut found = false;
        self.each(&mut |op| {
            if let Op::Step { on_unknown: OnUnknown::Fail, .. } = op {
                found = true;
            }
        });
        found
    }
}

/// What an answered question is answered with.
pub(crate) fn word(name: &str) -> String {
    format!("word of {name}")
}

impl Op {
    pub(crate) fn words(&self, words: &mut Vec<String>) {
        match self {
            Self::Step { name, .. }
            | Self::Caught { name, .. }
            | Self::Child { name, .. }
            | Self::Race { name, .. } => words.push(name.clone()),
            Self::Input { word, .. } => words.push(word.clone()),
            Self::Ask { name } => words.push(word(name)),
            Self::Parallel { branches } => {
                branches.iter().flatten().for_each(|op| op.words(words));
            }
            Self::Sleep { .. } | Self::Talk { .. } | Self::Version { .. } => {}
        }
    }
}

struct Draw<'a> {
    dice: &'a Dice,
    plan: &'a Plan,
    names: u32,
    /// Whether this task was drawn to fail, and its steps to be careful.
    fails: u32,
    fatal: bool,
    careful: Option<OnUnknown>,
}

/// Draws what a task does.
pub(crate) fn draw(dice: &Dice, plan: &Plan, tries: u32) -> Program {
    let mix = &plan.mix;
    let fails = if dice.per_mille(mix.failing) { dice.small(1, tries + 1) } else { 0 };
    let careful = dice
        .per_mille(mix.careful)
        .then(|| *dice.pick(&[OnUnknown::Ask, OnUnknown::Verify, OnUnknown::Fail]));
    let mut draw = Draw { dice, plan, names: 0, fails, fatal: dice.per_mille(150), careful };
    let mut first = draw.program(true);
    if dice.per_mille(mix.continued) {
        draw.fails = 0;
        first.then = Some(Box::new(draw.program(false)));
    }
    first
}

impl Draw<'_> {
    fn name(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}{}", self.names)
    }

    fn step(&mut self) -> Op {
        let name = self.name("s");
        let ms = u64::try_from(self.dice.within(self.plan.step).as_millis()).unwrap();
        let fails = if self.dice.per_mille(300) { std::mem::take(&mut self.fails) } else { 0 };
        let on_unknown = self.careful.filter(|_| self.dice.per_mille(600)).unwrap_or_default();
        Op::Step { name, ms, fails, fatal: self.fatal, on_unknown }
    }

    /// A branch of a race: some steps, or something to wait for. What fails would win.
    fn branch(&mut self) -> Vec<Op> {
        let mut ops: Vec<_> = (0..self.dice.range(0, 2)).map(|_| self.step()).collect();
        if ops.is_empty() || self.dice.per_mille(300) {
            let ms = u64::try_from(self.dice.within(self.plan.sleep).as_millis()).unwrap();
            ops.push(Op::Sleep { name: self.name("t"), ms });
        }
        let careless = |op| match op {
            Op::Step { name, ms, fails, fatal, .. } => {
                Op::Step { name, ms, fails, fatal, on_unknown: OnUnknown::Rerun }
            }
            other => other,
        };
        ops.into_iter().map(careless).collect()
    }

    fn program(&mut self, children: bool) -> Program {
        let (dice, plan) = (self.dice, self.plan);
        let mix = &plan.mix;
        let mut ops = Vec::new();
        for _ in 0..dice.range(0, 5) {
            ops.push(self.step());
        }
        let mut put = |op: Op| {
            let at = usize::try_from(dice.below(ops.len() as u64 + 1)).unwrap();
            ops.insert(at, op);
        };
        let mut input = self.name("i");
        for n in 1..=2 {
            if dice.per_mille(mix.sleeps) {
                let ms = u64::try_from(dice.within(plan.sleep).as_millis()).unwrap();
                put(Op::Sleep { name: self.name("t"), ms });
            }
            if dice.per_mille(mix.inputs) {
                put(Op::Input { name: input.clone(), word: format!("word {n} of {input}") });
            }
            if dice.per_mille(500) {
                input = self.name("i");
            }
        }
        if dice.per_mille(mix.asks) {
            put(Op::Ask { name: self.name("q") });
        }
        if dice.per_mille(mix.talkative) {
            put(Op::Talk { name: self.name("e"), events: dice.small(1, 30) });
        }
        if dice.per_mille(mix.versions) {
            put(Op::Version { name: self.name("v") });
        }
        if dice.per_mille(mix.races) {
            let fails = std::mem::take(&mut self.fails);
            let branches = (0..dice.range(2, 3)).map(|_| self.branch()).collect();
            self.fails = fails;
            put(Op::Race { name: self.name("r"), branches });
        }
        if dice.per_mille(mix.parallel) {
            let branches =
                (0..dice.range(2, 4)).map(|_| (0..dice.range(1, 3)).map(|_| self.step()).collect()).collect();
            put(Op::Parallel { branches });
        }
        if children && dice.per_mille(mix.children) {
            let name = self.name("c");
            let before = std::mem::take(&mut self.fails);
            let program = self.program(false);
            self.fails = before;
            put(Op::Child { name, leave: dice.per_mille(300), program: without_people(program) });
        }
        // Of its own dice, so that a seed's other draws are what they were.
        let caught = Dice::new(plan.seed, &format!("caught in {ops:?}"));
        if caught.per_mille(100) {
            let at = usize::try_from(caught.below(ops.len() as u64 + 1)).unwrap();
            let ms = u64::try_from(caught.within(plan.step).as_millis()).unwrap();
            ops.insert(at, Op::Caught { name: self.name("f"), ms });
        }
        Program { ops, then: None }
    }
}

/// Nobody looks after a child's questions and inputs.
fn without_people(program: Program) -> Program {
    let alone = |op: &Op| {
        matches!(
            op,
            Op::Step { .. }
                | Op::Caught { .. }
                | Op::Sleep { .. }
                | Op::Parallel { .. }
                | Op::Talk { .. }
                | Op::Version { .. }
                | Op::Race { .. }
        )
    };
    let careless = |op: Op| match op {
        Op::Step { name, ms, fails, fatal, .. } => {
            Op::Step { name, ms, fails, fatal, on_unknown: OnUnknown::Rerun }
        }
        other => other,
    };
    let ops = program.ops.into_iter().filter(alone);
    let ops = ops.map(|op| match op {
        Op::Parallel { branches } => Op::Parallel {
            branches: branches.into_iter().map(|ops| ops.into_iter().map(careless).collect()).collect(),
        },
        other => careless(other),
    });
    Program { ops: ops.collect(), then: None }
}
