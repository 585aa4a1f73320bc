// What a worker says of its kinds when it registers.
import type { KindOffer } from "./api/types.js";
import { ValidationError } from "./errors.js";
import type { AnyTask } from "./task.js";

/** A JSON Schema (2020-12), or something that has one: a schema of zod 4.2 or later, or of another library of Standard JSON Schema. */
export type Schema = boolean | Record<string, unknown> | StandardSchema;

/** The part of Standard JSON Schema that is asked for. */
export interface StandardSchema {
  readonly "~standard": { readonly jsonSchema: Record<Side, (options: { target: string }) => object> };
}

type Side = "input" | "output";

/** What is said of the kind of a task. */
export function offerOf({ kind, version, options }: AnyTask): KindOffer {
  const { about, inputSchema, outputSchema, queue, policy, expose } = options;
  const offer: KindOffer = { kind, versions: [version] };
  if (about !== undefined) offer.about = about;
  if (inputSchema !== undefined) offer.input_schema = jsonSchema(inputSchema, "input", kind);
  if (outputSchema !== undefined) offer.output_schema = jsonSchema(outputSchema, "output", kind);
  if (queue !== undefined || policy !== undefined)
    offer.defaults = { ...(queue !== undefined && { queue }), ...(policy !== undefined && { policy }) };
  if (expose !== undefined) offer.expose = [...expose];
  return offer;
}

function jsonSchema(schema: Schema, side: Side, kind: string): unknown {
  if (typeof schema === "boolean" || !("~standard" in schema)) return schema;
  const { jsonSchema: made } = (schema as Partial<StandardSchema>)["~standard"] ?? {};
  if (!made) {
    const text = `task ${kind}: ${side}Schema has no JSON Schema of its own: give it as an object`;
    throw new ValidationError(text, { code: "bad_schema" });
  }
  return made[side]({ target: "draft-2020-12" });
}
