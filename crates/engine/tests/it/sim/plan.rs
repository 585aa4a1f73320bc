//! What a run is made of: every option is drawn from the seed, and is printed when something is found.

use super::dice::Dice;
use std::time::Duration;

/// The options of a run. Times are virtual.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Whether it runs over the real SQLite on a simulated disk, or over the store in memory.
    pub(crate) sqlite: bool,
    /// Clients, and the tasks that each of them submits, one after the other or some at a time.
    pub(crate) clients: u32,
    pub(crate) jobs_each: u32,
    pub(crate) jobs_at_once: u32,
    /// The longest time between two jobs of a client.
    pub(crate) pause: Duration,
    /// Workers in the server's process, workers elsewhere, and how many tasks each holds.
    pub(crate) embedded: u32,
    pub(crate) remote: u32,
    pub(crate) slots: u32,
    /// How often each worker elsewhere leaves in order, and about how long it stays.
    pub(crate) leaves: u32,
    pub(crate) stays: Duration,
    pub(crate) followers: u32,
    pub(crate) feeds: u32,
    pub(crate) digest_every: u64,
    /// How long payloads of logs are kept after a task's end.
    pub(crate) logs: Duration,
    /// Longest step.
    pub(crate) step: Duration,
    /// Longest sleep of a task.
    pub(crate) sleep: Duration,
    /// Leases: of one of these lengths.
    pub(crate) leases: Vec<Duration>,
    /// Out of a thousand tasks so many have: a cap, a deadline, a prerequisite, children, and so on.
    pub(crate) mix: Mix,
    pub(crate) faults: Faults,
}

/// Out of a thousand.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    pub(crate) capped: u32,
    pub(crate) deadline: u32,
    pub(crate) timeout: u32,
    pub(crate) depends: u32,
    pub(crate) children: u32,
    pub(crate) inputs: u32,
    pub(crate) asks: u32,
    pub(crate) sleeps: u32,
    pub(crate) parallel: u32,
    pub(crate) failing: u32,
    pub(crate) careful: u32,
    pub(crate) continued: u32,
    pub(crate) cancelled: u32,
    pub(crate) paused: u32,
    pub(crate) patched: u32,
    pub(crate) deleted: u32,
    pub(crate) forked: u32,
    pub(crate) talkative: u32,
    pub(crate) races: u32,
    pub(crate) versions: u32,
}

/// What goes wrong, and how often, until everything heals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// How long the phase of faults lasts.
    pub(crate) phase: Duration,
    /// Mean times between two of a kind; none if it never happens.
    pub(crate) crash: Option<Duration>,
    pub(crate) freeze: Option<Duration>,
    pub(crate) clock_jump: Option<Duration>,
    pub(crate) full_disk: Option<Duration>,
    pub(crate) outage: Option<Duration>,
    pub(crate) partition: Option<Duration>,
    /// Longest time without a server, of a freeze, of a jump, and of a full disk or outage.
    pub(crate) down: Duration,
    pub(crate) frozen: Duration,
    pub(crate) jump: Duration,
    pub(crate) stuck: Duration,
    /// Whether monotonic clocks stand still on machines that are frozen.
    pub(crate) suspends: bool,
    /// How far workers' clocks are off.
    pub(crate) skew: Duration,
    /// Out of a thousand commits: the server dies before, or after it; its outcome is not seen; the power goes in it; its fsync
    /// fails.
    pub(crate) dies_before: u32,
    pub(crate) dies_after: u32,
    pub(crate) unknown: u32,
    pub(crate) cut: u32,
    pub(crate) fsync_fails: u32,
    /// Out of a thousand calls: the request is lost, or its answer; it comes twice.
    pub(crate) request_lost: u32,
    pub(crate) answer_lost: u32,
    pub(crate) doubled: u32,
    /// Longest way of a request or an answer, and of one in a thousand.
    pub(crate) delay: Duration,
    /// Out of a thousand turns of the writer or the reconciler: it waits for so long.
    pub(crate) slow: u32,
    pub(crate) slow_for: Duration,
    /// Out of a thousand reads: its answer comes so late at most.
    pub(crate) late: u32,
    pub(crate) late_by: Duration,
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

impl Plan {
    pub(crate) fn draw(seed: u64) -> Self {
        let dice = Dice::new(seed, "plan");
        // One run in eight is long, and nothing goes wrong in it: faults end runs before what takes its time shows.
        let quiet = dice.per_mille(125);
        let often = |chance: u32, most: u32| if dice.per_mille(chance) { dice.small(1, most) } else { 0 };
        let mut leases = vec![secs(90)];
        if dice.per_mille(500) {
            leases.push(secs(dice.range(15, 40)));
        }
        if dice.per_mille(300) {
            leases.push(Duration::from_millis(dice.range(1_000, 14_000)));
        }
        let embedded = if dice.per_mille(700) { dice.small(1, 2) } else { 0 };
        let remote = if embedded == 0 || dice.per_mille(700) { dice.small(1, 4) } else { 0 };
        let mix = Mix {
            capped: often(400, 500),
            deadline: often(400, 200),
            timeout: often(300, 150),
            depends: often(400, 300),
            children: often(400, 300),
            inputs: often(600, 400),
            asks: often(400, 300),
            sleeps: often(600, 400),
            parallel: often(500, 300),
            failing: often(600, 400),
            careful: often(500, 500),
            continued: often(300, 200),
            cancelled: often(500, 250),
            paused: often(500, 250),
            patched: often(300, 200),
            deleted: often(400, 250),
            forked: often(400, 200),
            talkative: often(400, 300),
            races: often(400, 300),
            versions: often(300, 300),
        };
        let sqlite = Dice::new(seed, "medium").per_mille(350);
        let leaving = Dice::new(seed, "leaving");
        let mut plan = Self {
            seed,
            sqlite,
            clients: dice.small(1, 5),
            // An idle hour over SQLite costs ten times as much as one over the store in memory.
            jobs_each: if quiet { dice.small(10, if sqlite { 20 } else { 40 }) } else { dice.small(2, 12) },
            jobs_at_once: dice.small(1, 6),
            pause: *dice.pick(&[secs(0), secs(2), secs(20), secs(120)]),
            embedded,
            remote,
            slots: *dice.pick(&[1, 2, 3, 8]),
            leaves: if leaving.per_mille(400) { leaving.small(1, 5) } else { 0 },
            stays: secs(leaving.range(5, 200)),
            followers: dice.small(0, 4),
            feeds: dice.small(0, 2),
            digest_every: *dice.pick(&[2, 5, 16, 256]),
            logs: *dice.pick(&[secs(60), secs(3_600), secs(30 * 24 * 3_600)]),
            step: *dice.pick(&[Duration::from_millis(20), secs(1), secs(10), secs(60)]),
            sleep: *dice.pick(&[secs(3), secs(60), secs(if sqlite { 300 } else { 3_600 })]),
            leases,
            mix,
            faults: if quiet { Faults::default() } else { Faults::draw(&dice) },
        };
        let pressed = Dice::new(seed, "pressed");
        if !quiet && pressed.per_mille(150) {
            plan.press(&pressed);
        }
        plan
    }

    /// Makes it a run about leases: they are shorter than steps and than what workers are cut off for.
    fn press(&mut self, dice: &Dice) {
        self.leases = vec![secs(dice.range(3, 15))];
        self.step = *dice.pick(&[secs(20), secs(60)]);
        self.remote = self.remote.max(2);
        let faults = &mut self.faults;
        faults.partition = Some(secs(dice.range(10, 60)));
        faults.clock_jump = faults.clock_jump.or(Some(secs(dice.range(20, 100))));
        faults.frozen = *dice.pick(&[secs(20), secs(70)]);
        faults.delay = *dice.pick(&[faults.delay, Duration::from_millis(300), secs(4)]);
    }

    pub(crate) fn quiet(&self) -> bool {
        self.faults.phase.is_zero()
    }
}

impl Faults {
    fn draw(dice: &Dice) -> Self {
        let some = |chance: u32, low: u64, high: u64| {
            let mean = secs(dice.range(low, high));
            dice.per_mille(chance).then_some(mean)
        };
        let rate = |chance: u32, most: u32| if dice.per_mille(chance) { dice.small(1, most) } else { 0 };
        Self {
            phase: secs(dice.range(60, 1_800)),
            crash: some(600, 10, 300),
            freeze: some(500, 10, 200),
            clock_jump: some(400, 20, 300),
            full_disk: some(300, 30, 400),
            outage: some(300, 30, 400),
            partition: some(400, 20, 300),
            down: *dice.pick(&[secs(0), secs(3), secs(30), secs(120)]),
            frozen: *dice.pick(&[secs(5), secs(70), secs(240)]),
            jump: *dice.pick(&[secs(1), secs(60), secs(1_800)]),
            stuck: *dice.pick(&[secs(2), secs(20), secs(120)]),
            suspends: dice.per_mille(300),
            skew: *dice.pick(&[secs(0), secs(2), secs(600)]),
            dies_before: rate(400, 20),
            dies_after: rate(400, 20),
            unknown: rate(500, 60),
            cut: rate(500, 30),
            fsync_fails: rate(300, 8),
            request_lost: rate(500, 150),
            answer_lost: rate(500, 150),
            doubled: rate(500, 150),
            delay: *dice.pick(&[
                Duration::ZERO,
                Duration::from_millis(5),
                Duration::from_millis(300),
                secs(4),
            ]),
            slow: rate(400, 100),
            slow_for: *dice.pick(&[Duration::from_millis(30), secs(2), secs(15)]),
            late: rate(500, 300),
            late_by: *dice.pick(&[Duration::from_millis(5), Duration::from_millis(100), secs(1)]),
        }
    }
}
