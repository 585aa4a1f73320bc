import { createHash } from "node:crypto";

/** A value as JSON has it. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** How deep arrays and objects may be nested, as the server takes them. */
const DEPTH = 64;

/** A value that JSON has no form for. */
export class NotJson extends TypeError {
  /** Where in the value: `$.a[3]`. */
  readonly path: string;
  /** What stands there. */
  readonly what: string;

  constructor(path: string, what: string) {
    super(`${path} is ${what}, which JSON has no form for`);
    this.name = "NotJson";
    this.path = path;
    this.what = what;
  }
}

/**
 * The canonical JSON (RFC 8785) of a value: what is hashed, and what the server stores.
 *
 * Members that are `undefined` are left out, and `toJSON` is asked, as `JSON.stringify` does. What that would silently change
 * into something else (functions, symbols, NaN, maps, sets) is refused with its path.
 */
export function canonical(value: unknown, path = "$"): string {
  return write(value, path, []);
}

function write(value: unknown, path: string, above: object[]): string {
  switch (typeof value) {
    case "string":
      if (/\p{Surrogate}/u.test(value)) throw new NotJson(path, "a text with half of a surrogate pair");
      return JSON.stringify(value);
    case "number":
      if (!Number.isFinite(value)) throw new NotJson(path, String(value));
      return JSON.stringify(value);
    case "boolean":
      return value ? "true" : "false";
    case "object":
      return value === null ? "null" : writeObject(value, path, above);
    default:
      throw new NotJson(path, typeof value === "undefined" ? "undefined" : `a ${typeof value}`);
  }
}

function writeObject(value: object, path: string, above: object[]): string {
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function") return write(Reflect.apply(toJSON, value, []), path, above);
  if (above.includes(value)) throw new NotJson(path, "part of itself");
  if (above.length >= DEPTH) throw new NotJson(path, `nested deeper than ${DEPTH} levels`);
  const inner = [...above, value];
  if (Array.isArray(value)) {
    return `[${Array.from(value, (item, i) => write(item, `${path}[${i}]`, inner)).join(",")}]`;
  }
  if (value instanceof Map || value instanceof Set || value instanceof Promise || ArrayBuffer.isView(value)) {
    throw new NotJson(path, `a ${value.constructor.name}`);
  }
  if (value instanceof Error) throw new NotJson(path, "an Error");
  const members: string[] = [];
  const named = value as Record<string, unknown>;
  // The order of UTF-16 code units, which is what JavaScript compares by.
  for (const name of Object.keys(named).sort()) {
    if (named[name] === undefined) continue;
    members.push(`${write(name, path, inner)}:${write(named[name], `${path}.${name}`, inner)}`);
  }
  return `{${members.join(",")}}`;
}

/** SHA-256 in hexadecimal. */
export function sha256(...parts: (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

/** What a step was asked to do: SHA-256 of its canonical arguments. */
export function intent(canonicalArguments: string): string {
  return sha256(canonicalArguments);
}

/** The key that makes the effect of a step happen once where it is made: the same for every try and attempt. */
export function stepIdempotencyKey(task: string, step: string): string {
  return sha256("everloop/step/v1/", task, "/", step);
}
