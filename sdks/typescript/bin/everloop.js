#!/usr/bin/env node
// Runs the program `everloop`, wherever it lies, with our arguments, terminal and signals.
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { findBinary } from "../dist/server.js";

let program;
try {
  program = findBinary();
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exit(1);
}
const environment = { ...process.env };
// Ours, and no setting of the program.
delete environment.EVERLOOP_BIN;
const child = spawn(program, process.argv.slice(2), { stdio: "inherit", env: environment });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`error: ${program} could not be started: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
