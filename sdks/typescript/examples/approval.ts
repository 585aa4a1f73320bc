// Asks a person before it pays. Answer with: everloop task decide key:invoice-7 payment#1 approve
import { askForApproval, run, step, task } from "everloop";
import { effect } from "./effect.js";

const pay = task("pay", async (invoice: { number: number; sum: number }) => {
  const draft = await step.run("draft", async () => {
    await effect("draft");
    return `Pay ${invoice.sum} for invoice ${invoice.number}`;
  });
  if (!(await askForApproval("payment", `${draft}?`, invoice))) return "not paid";
  return await step.run("pay", async () => {
    await effect("pay");
    return "paid";
  });
});

console.log(await run(pay, [{ number: 7, sum: 120 }], { key: "invoice-7" }));
