//! A person is asked before money moves. The task waits as long as that takes, and needs no process while it waits.
//!
//! ```text
//! cargo run --example approval
//! everloop task decide --help         # in another terminal, in the same folder: how to answer
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod program;

use everloop_client::{Context, OnUnknown, Stop, TaskError, canonical, run, task};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Invoice {
    amount: u64,
    to: String,
}

async fn pay(context: Context, invoice: Invoice) -> Result<String, Stop> {
    let Invoice { amount, to } = &invoice;
    let prompt = format!("Pay {amount} to {to}?");
    let (decision, _) =
        context.ask("approve", &prompt, &["approve", "refuse"], Some(canonical(&invoice)?)).await?;
    if decision != "approve" {
        return Err(TaskError::validation("not_approved", format!("{to} is not paid")).into());
    }
    // If it is cut off, a person is asked whether it happened.
    let step = context.step("pay").args(&invoice).on_unknown(OnUnknown::Ask);
    // What pays gets this key: a payment that is sent again under it is made once.
    let key = step.idempotency_key();
    step.run(async { Ok(format!("{amount} paid to {to} under {}", &key[..8])) }).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    program::built()?;
    let invoice = Invoice { amount: 120, to: "ACME".to_owned() };
    println!("{}", run(&task("invoice", pay), invoice, "invoice-1").await?);
    Ok(())
}
