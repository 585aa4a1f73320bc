//! What happens to machines, clocks, the network and the database while things go wrong.

use super::machine::Machine;
use super::world::World;
use std::sync::Arc;
use std::time::Duration;

/// Everything that goes wrong by itself, until it heals.
pub(crate) async fn run(world: Arc<World>, workers: Vec<Arc<Machine>>) {
    let faults = &world.plan.faults;
    tokio::join!(
        freeze(&world, &workers, faults.freeze),
        cut(&world, &workers, faults.partition),
        jump(&world, &workers, faults.clock_jump),
        outage(&world, faults.outage),
    );
}

async fn freeze(world: &World, workers: &[Arc<Machine>], mean: Option<Duration>) {
    let (Some(mean), false) = (mean, workers.is_empty()) else { return };
    let (dice, faults) = (world.dice("freezer"), &world.plan.faults);
    loop {
        tokio::time::sleep(dice.about(mean)).await;
        if !world.faulty() {
            return;
        }
        let machine = dice.pick(workers);
        let length = dice.within(faults.frozen);
        let suspend = faults.suspends && dice.per_mille(500);
        machine.freeze(length, suspend);
        world.fault(if suspend { "machines suspended" } else { "workers frozen" }, &machine.name);
    }
}

async fn cut(world: &World, workers: &[Arc<Machine>], mean: Option<Duration>) {
    let (Some(mean), false) = (mean, workers.is_empty()) else { return };
    let (dice, faults) = (world.dice("cutter"), &world.plan.faults);
    loop {
        tokio::time::sleep(dice.about(mean)).await;
        if !world.faulty() {
            return;
        }
        let machine = dice.pick(workers);
        let length = dice.within(faults.frozen);
        world.cut(&machine.name, length);
        world.fault("workers cut off from the server", &machine.name);
        if faults.clock_jump.is_some() && dice.per_mille(300) {
            // As if that time had not been.
            machine.jump(-i64::try_from(length.as_micros()).unwrap());
            world.fault("clocks set back while their machine was cut off", &machine.name);
        }
    }
}

async fn jump(world: &World, workers: &[Arc<Machine>], mean: Option<Duration>) {
    let Some(mean) = mean else { return };
    let (dice, longest) = (world.dice("clocks"), world.plan.faults.jump);
    let mut off = vec![0; workers.len() + 1];
    loop {
        tokio::time::sleep(dice.about(mean)).await;
        if !world.faulty() {
            return;
        }
        let which = usize::try_from(dice.below(off.len() as u64)).unwrap();
        let micros = |length: Duration| i64::try_from(length.as_micros()).unwrap();
        let target = micros(dice.within(longest * 2)) - micros(longest);
        let machine = workers.get(which).unwrap_or(&world.host);
        machine.jump(target - off[which]);
        off[which] = target;
        world.fault("clocks that jumped", &machine.name);
    }
}

async fn outage(world: &World, mean: Option<Duration>) {
    let Some(mean) = mean else { return };
    let (dice, faults) = (world.dice("outages"), &world.plan.faults);
    loop {
        tokio::time::sleep(dice.about(mean)).await;
        if !world.faulty() {
            return;
        }
        world.medium().set_available(false);
        world.fault("times without a database", "disk");
        tokio::time::sleep(dice.within(faults.stuck)).await;
        world.medium().set_available(true);
    }
}
