"""A person is asked before money moves. The task waits as long as that takes, and needs no process while it waits.

python examples/approval.py
everloop task decide --help         # in another terminal, in the same folder: how to answer
"""

from __future__ import annotations

import sys

import everloop
from everloop import Validation, run, step, task


@step(on_unknown="ask")
def pay(to: str, amount: int) -> str:
    # What pays gets this key: a payment that is sent again under it is made once.
    return f"{amount} paid to {to} under {everloop.step_key()[:8]}"


@task
def invoice(to: str, amount: int) -> str:
    answer = everloop.ask("approve", f"Pay {amount} to {to}?", details={"to": to, "amount": amount})
    if answer.decision != "approve":
        raise Validation(f"not approved: {answer.note or 'no reason given'}", code="not_approved")
    return pay(to, amount)


if __name__ == "__main__":
    print(run(invoice, to="ACME", amount=120, key=sys.argv[1] if len(sys.argv) > 1 else "invoice-1"))
