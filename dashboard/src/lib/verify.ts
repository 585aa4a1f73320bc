/** A public key, as a JWKS has it. */
export interface PublicKey {
  kty: string;
  crv: string;
  x: string;
  kid?: string;
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
  /** Events whose data is gone. */
  gone: number;
  /** Id of the key that signed. */
  signer?: string;
}

interface Line {
  [name: string]: unknown;
  receipt?: string;
  anchor?: string;
  salt?: string;
  hash: string;
  data_hash: string;
  seq: number;
  stream: string;
  tenant: string;
  ts: string;
  type: string;
  v: number;
}

type Head = Pick<Line, "hash" | "seq" | "stream" | "tenant">;

class Broken extends Error {
  readonly seq: number | undefined;
  constructor(reason: string, seq?: number) {
    super(reason);
    this.seq = seq;
  }
}

const MEMBERS = new Set("actor body_v data data_hash hash salt seq stream tenant trace ts type v".split(" "));
const ENDS = ["task.completed", "task.failed", "task.cancelled"];
const encoder = new TextEncoder();

/** Checks an export as docs/formats.md says: every hash of the chain, every datum, and the signature of the receipt. */
export async function verifyExport(text: string, keys: PublicKey[]): Promise<Verified> {
  const state: Verified = { verdict: "unsigned", events: 0, gone: 0 };
  try {
    await check(text, keys, state);
    return state;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const broken: Verified = { ...state, verdict: "broken", reason };
    if (error instanceof Broken && error.seq !== undefined) broken.brokenAt = error.seq;
    return broken;
  }
}

async function check(text: string, keys: PublicKey[], state: Verified): Promise<void> {
  let head: Head | undefined;
  let last: Line | undefined;
  for (const line of text.split("\n").filter((one) => one.trim() !== "")) {
    if (state.signer !== undefined) throw new Broken("something follows the receipt");
    const read = JSON.parse(line) as Line;
    if (read.anchor !== undefined) {
      if (head) throw new Broken("the anchor is not the first line");
      head = (await claimsOf(read.anchor, keys, "everloop-anchor")).claims as unknown as Head;
    } else if (read.receipt !== undefined) {
      const { claims, kid, isKnown } = await claimsOf(read.receipt, keys, "everloop-receipt");
      if (last) fits(claims, last);
      state.signer = kid;
      state.verdict = isKnown ? "verified" : "signer_unknown";
    } else {
      await event(line, read, head, last);
      if (read.salt === undefined) state.gone += 1;
      state.events += 1;
      head = last = read;
    }
  }
}

async function event(
  line: string,
  read: Line,
  head: Head | undefined,
  last: Line | undefined,
): Promise<void> {
  const expected = (head?.seq ?? 0) + 1;
  const broken = (reason: string, seq = expected) => new Broken(reason, seq);
  const unknown = Object.keys(read).find((name) => !MEMBERS.has(name));
  if (unknown !== undefined) throw broken(`event ${expected} has an unknown member ${unknown}`);
  const isHex = (value: unknown, digits: number) =>
    typeof value === "string" && value.length === digits && /^[0-9a-f]*$/.test(value);
  const isWhole =
    isHex(read.hash, 64) && isHex(read.data_hash, 64) && (read.salt === undefined || isHex(read.salt, 32));
  if (!isWhole) throw broken(`a hash of event ${expected} is not hexadecimal`);
  if ((read.salt === undefined) !== !("data" in read)) {
    throw broken(`salt and data of event ${expected} must go together`);
  }
  if (read.seq !== expected) throw broken(`event ${expected} is missing`);
  if (read.v !== 1) throw broken(`event ${expected} has version ${read.v}`);
  if (head && (read.stream !== head.stream || read.tenant !== head.tenant)) {
    throw broken(`event ${expected} is of another stream`);
  }
  if (last && ENDS.includes(last.type)) throw broken(`event ${expected} follows the end`);
  if (last && read.ts < last.ts) throw broken(`event ${expected} is earlier than the one before`);
  const { hash, salt, data, ...envelope } = read;
  const before = head?.hash ?? hex(await sha256(encoder.encode(`everloop/v1/${read.stream}`)));
  if (hex(await sha256(unhex(before), encoder.encode(canonical(envelope)))) !== hash) {
    throw broken(`the hash of event ${expected} is wrong`);
  }
  if (salt !== undefined) {
    // The very bytes: written anew they might be others.
    const bytes = line.slice(line.indexOf(',"data":') + 8, line.lastIndexOf("}"));
    if (hex(await sha256(unhex(salt), encoder.encode(bytes))) !== read.data_hash) {
      throw broken(`the data of event ${expected} was changed`);
    }
  }
  if (read.type === "digest" && data !== undefined) {
    const { upto_seq: upto, hash: of } = data as { upto_seq: number; hash: string };
    if (upto !== expected - 1 || of !== before) throw broken(`digest ${expected} names another event`);
  }
}

function fits(claims: Record<string, unknown>, last: Line): void {
  if (Number(claims.last_seq) > last.seq) throw new Broken(`event ${last.seq + 1} is missing`, last.seq + 1);
  const wanted: Record<string, unknown> = {
    chain_root: last.hash,
    finished_at: last.ts,
    first_seq: 1,
    last_seq: last.seq,
    result_hash: last.data_hash,
    state: last.type.slice("task.".length),
    task: last.stream,
    tenant: last.tenant,
  };
  const other = Object.keys(wanted).find((name) => claims[name] !== wanted[name]);
  if (other) throw new Broken(`the receipt is of another history: ${other} differs`, last.seq);
}

async function claimsOf(
  jws: string,
  keys: PublicKey[],
  typ: string,
): Promise<{ claims: Record<string, unknown>; kid: string; isKnown: boolean }> {
  const parts = jws.split(".");
  const [head, body, signature] = parts;
  if (parts.length !== 3 || !head || !body || !signature) throw new Broken(`the ${typ} is no JWS`);
  const header = decoded(head);
  if (header.alg !== "EdDSA" || header.typ !== typ || Object.keys(header).length !== 3) {
    throw new Broken(`the ${typ} has another header`);
  }
  const claims = decoded(body);
  const kid = String(header.kid);
  for (const key of keys) {
    if ((await thumbprint(key)) !== kid) continue;
    const made = await crypto.subtle.importKey(
      "jwk",
      { kty: key.kty, crv: key.crv, x: key.x },
      "Ed25519",
      false,
      ["verify"],
    );
    const text = encoder.encode(`${head}.${body}`);
    if (!(await crypto.subtle.verify("Ed25519", made, bytesOf(signature), text))) {
      throw new Broken(`the signature of the ${typ} is wrong`);
    }
    return { claims, kid, isKnown: true };
  }
  return { claims, kid, isKnown: false };
}

/** A part of a JWS, which has one form only. */
function decoded(part: string): Record<string, unknown> {
  const text = new TextDecoder().decode(bytesOf(part));
  const read = JSON.parse(text) as Record<string, unknown>;
  if (canonical(read) !== text) throw new Broken("the JWS is not canonical");
  return read;
}

/** Flat objects of strings and integers with ASCII names: no others are hashed here. */
function canonical(flat: Record<string, unknown>): string {
  const members = Object.keys(flat).sort();
  return `{${members.map((name) => `${JSON.stringify(name)}:${JSON.stringify(flat[name])}`).join(",")}}`;
}

async function thumbprint({ crv, kty, x }: PublicKey): Promise<string> {
  const digest = await sha256(encoder.encode(canonical({ crv, kty, x })));
  return btoa(String.fromCharCode(...digest))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

async function sha256(...parts: Uint8Array[]): Promise<Uint8Array> {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", all));
}

function bytesOf(base64url: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (text: string) => Uint8Array.from(text.match(/../g) ?? [], (byte) => parseInt(byte, 16));
