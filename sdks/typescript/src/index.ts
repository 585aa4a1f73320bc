export type * as api from "./api/types.js";
export { cleanup, continueAs, type MapOptions, map, parallel, race, scope, timeout } from "./branches.js";
export { canonical, intent, type Json, NotJson, stepIdempotencyKey } from "./canonical.js";
export { type Child, type ChildOptions, callChild, startChild } from "./child.js";
export {
  Client,
  type ClientOptions,
  type JsonWebKey,
  type Page,
  type PageOptions,
  type SubmitOptions,
  type TaskFilter,
} from "./client.js";
export {
  AuthError,
  BudgetError,
  CancelledError,
  EverloopError,
  InternalError,
  NondeterminismError,
  QuotaError,
  TransientError,
  UnreachableError,
  ValidationError,
} from "./errors.js";
export type { Feed, Follow, Item } from "./follow.js";
export type { Schema, StandardSchema } from "./offer.js";
export {
  emit,
  frame,
  idempotencyKey,
  type Level,
  log,
  type Progress,
  progress,
  signal,
  stepContext,
  taskInfo,
  token,
} from "./report.js";
export { connect, type RunOptions, run } from "./run.js";
export type { StepContext } from "./scope.js";
export { dataFolder, findBinary, LocalServer, ServerError } from "./server.js";
export { type Step, type StepOptions, step, type Verdict } from "./step.js";
export { type AnyTask, type Task, type TaskOptions, task } from "./task.js";
export { now, random, uuid, version } from "./values.js";
export { type Verified, type VerifyOptions, verifyExport } from "./verify.js";
export {
  type Answer,
  ask,
  askForApproval,
  type Duration,
  type Question,
  sleep,
  waitForInput,
} from "./wait.js";
export { Worker, type WorkerOptions } from "./worker.js";
