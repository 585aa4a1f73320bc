import { createPublicKey, type JsonWebKey as NodeKey, verify } from "node:crypto";
import { canonical, sha256 } from "./canonical.js";
import type { JsonWebKey } from "./client.js";

/** Whom to trust. */
export interface VerifyOptions {
  /** The public keys that are trusted (a JWKS). */
  keys?: { keys: JsonWebKey[] };
}

/** What became of a check. */
export interface Verified {
  verdict: "verified" | "signer_unknown" | "unsigned" | "broken";
  /** The first event that is wrong or missing, where the history is broken. */
  brokenAt?: number;
  /** What is wrong. */
  reason?: string;
  /** How many events were checked. */
  events: number;
  /** Numbers of events whose data is gone. */
  gone: number[];
}

interface Line {
  receipt?: string;
  anchor?: string;
  salt?: string;
  data?: unknown;
  hash: string;
  data_hash: string;
  seq: number;
  stream: string;
  tenant: string;
  ts: string;
  type: string;
  v: number;
  [name: string]: unknown;
}

type Anchor = Pick<Line, "hash" | "seq" | "stream" | "tenant">;

class Broken extends Error {
  readonly seq: number | undefined;
  constructor(reason: string, seq?: number) {
    super(reason);
    this.seq = seq;
  }
}

const TERMINAL = new Set(["task.completed", "task.failed", "task.cancelled"]);

/** Checks an export: every hash of the chain, every datum, and the signature of the receipt. Nothing else is asked. */
export function verifyExport(text: string, options: VerifyOptions = {}): Verified {
  const state: Verified = { verdict: "unsigned", events: 0, gone: [] };
  try {
    check(text, options.keys?.keys ?? [], state);
    return state;
  } catch (error) {
    const broken: Verified = { ...state, verdict: "broken", reason: (error as Error).message };
    if (error instanceof Broken && error.seq !== undefined) broken.brokenAt = error.seq;
    return broken;
  }
}

function check(text: string, keys: JsonWebKey[], state: Verified): void {
  let last: Line | undefined;
  let anchor: Anchor | undefined;
  for (const line of text.split("\n").filter((one) => one.trim() !== "")) {
    if (state.verdict !== "unsigned") throw new Broken("something follows the receipt");
    const read = JSON.parse(line) as Line;
    if (read.anchor !== undefined) {
      if (last || anchor) throw new Broken("the anchor is not the first line");
      anchor = claimsOf(read.anchor, keys, "everloop-anchor").claims as unknown as Anchor;
      continue;
    }
    if (read.receipt !== undefined) {
      const { claims, isSigned } = claimsOf(read.receipt, keys, "everloop-receipt");
      if (last) fits(claims, last);
      state.verdict = isSigned ? "verified" : "signer_unknown";
      continue;
    }
    event(line, read, last, anchor);
    if (read.salt === undefined) state.gone.push(read.seq);
    state.events += 1;
    last = read;
  }
}

const MEMBERS = new Set([
  "actor",
  "body_v",
  "data",
  "data_hash",
  "hash",
  "salt",
  "seq",
  "stream",
  "tenant",
  "trace",
  "ts",
  "type",
  "v",
]);

function shape(read: Line, expected: number): void {
  const wrong = (reason: string) => new Broken(`event ${expected}: ${reason}`, expected);
  const unknown = Object.keys(read).find((name) => !MEMBERS.has(name));
  if (unknown !== undefined) throw wrong(`unknown member ${unknown}`);
  for (const [name, digits] of [
    ["hash", 64],
    ["data_hash", 64],
    ["salt", 32],
  ] as const) {
    const text = read[name];
    if (name === "salt" && text === undefined) continue;
    if (typeof text !== "string" || text.length !== digits || !/^[0-9a-f]*$/.test(text)) {
      throw wrong(`${name} is not ${digits} lower-case hexadecimal digits`);
    }
  }
  if ((read.salt === undefined) !== !("data" in read)) throw wrong("salt and data must go together");
}

function event(line: string, read: Line, last: Line | undefined, anchor: Anchor | undefined): void {
  const before = last ?? anchor;
  const expected = (before?.seq ?? 0) + 1;
  shape(read, expected);
  const broken = (reason: string, seq = read.seq) => new Broken(reason, seq);
  if (read.seq !== expected) throw broken(`event ${expected} is missing`, expected);
  if (read.v !== 1) throw broken(`event ${read.seq} has version ${read.v}`);
  if (before && (read.stream !== before.stream || read.tenant !== before.tenant)) {
    throw broken(`event ${read.seq} is of another stream`);
  }
  if (last && TERMINAL.has(last.type)) throw broken(`event ${read.seq} follows the end`);
  if (last && read.ts < last.ts) throw broken(`event ${read.seq} is earlier than the one before`);
  const { hash, salt, data, ...envelope } = read;
  const previous = before?.hash ?? sha256("everloop/v1/", read.stream);
  if (sha256(Buffer.from(previous, "hex"), canonical(envelope)) !== hash) {
    throw broken(`the hash of event ${read.seq} is wrong`);
  }
  if (salt !== undefined) {
    // The very bytes: written anew they might be others.
    const bytes = line.slice(line.indexOf(',"data":') + 8, line.lastIndexOf("}"));
    if (sha256(Buffer.from(salt, "hex"), bytes) !== read.data_hash) {
      throw broken(`the data of event ${read.seq} was changed`);
    }
  }
  if (read.type === "digest" && data !== undefined) {
    const { upto_seq: upto, hash: of } = data as { upto_seq: number; hash: string };
    if (upto !== expected - 1 || of !== previous) throw broken(`digest ${read.seq} names another event`);
  }
}

function fits(claims: Record<string, unknown>, last: Line): void {
  if (Number(claims.last_seq) > last.seq) throw new Broken(`event ${last.seq + 1} is missing`, last.seq + 1);
  const state = last.type.slice("task.".length);
  const same =
    claims.chain_root === last.hash &&
    claims.finished_at === last.ts &&
    claims.last_seq === last.seq &&
    claims.result_hash === last.data_hash &&
    claims.state === state &&
    claims.task === last.stream &&
    claims.tenant === last.tenant &&
    claims.first_seq === 1;
  if (!same) throw new Broken("the receipt is of another history", last.seq);
}

function claimsOf(
  jws: string,
  keys: JsonWebKey[],
  typ: string,
): { claims: Record<string, unknown>; isSigned: boolean } {
  const parts = jws.split(".");
  const [head, body, signature] = parts;
  if (parts.length !== 3 || !head || !body || !signature) throw new Broken(`the ${typ} is no JWS`);
  const header = decoded(head);
  if (header.alg !== "EdDSA" || header.typ !== typ) throw new Broken(`the ${typ} has another header`);
  const claims = decoded(body);
  const key = keys.find((one) => one.kid === header.kid || thumbprint(one) === header.kid);
  if (!key) return { claims, isSigned: false };
  const bytes = Buffer.from(signature, "base64url");
  const made = createPublicKey({ key: key as NodeKey, format: "jwk" });
  if (bytes.length !== 64 || !verify(null, Buffer.from(`${head}.${body}`), made, bytes)) {
    throw new Broken(`the signature of the ${typ} is wrong`);
  }
  return { claims, isSigned: true };
}

/** A part of a JWS, which has one form only. */
function decoded(part: string): Record<string, unknown> {
  const text = Buffer.from(part, "base64url").toString("utf8");
  const read = JSON.parse(text) as Record<string, unknown>;
  const again = Buffer.from(canonical(read)).toString("base64url");
  if (again !== part) throw new Broken("the JWS is not canonical");
  return read;
}

function thumbprint(key: JsonWebKey): string {
  const text = canonical({ crv: key.crv, kty: key.kty, x: key.x });
  return Buffer.from(sha256(text), "hex").toString("base64url");
}
