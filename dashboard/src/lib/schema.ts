/** The part of JSON Schema that forms are made of. */
export interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  enum?: unknown[];
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  $ref?: string;
  $defs?: Record<string, Schema>;
  anyOf?: Schema[];
}

/** How a value is asked for. */
export type Control = "text" | "number" | "integer" | "flag" | "choice" | "json";

/** A field of a form. */
export interface FormField {
  name: string;
  label: string;
  schema: Schema;
  control: Control;
  isRequired: boolean;
}

/** What a reference stands for, and of a choice with `null` the other one. */
function resolved(schema: Schema, root: Schema): Schema {
  const name = schema.$ref?.replace("#/$defs/", "");
  if (name !== undefined) {
    const found = root.$defs?.[name];
    return found
      ? { ...resolved(found, root), ...(schema.description ? { description: schema.description } : {}) }
      : schema;
  }
  const others = schema.anyOf?.filter((one) => one.type !== "null");
  if (others?.length === 1 && others[0]) return { ...schema, anyOf: undefined, ...resolved(others[0], root) };
  return schema;
}

const typeOf = (schema: Schema) => [schema.type].flat().find((type) => type !== undefined && type !== "null");

function controlOf(schema: Schema): Control {
  if (schema.enum?.every((one) => typeof one === "string" || typeof one === "number")) return "choice";
  switch (typeOf(schema)) {
    case "string":
      return "text";
    case "number":
      return "number";
    case "integer":
      return "integer";
    case "boolean":
      return "flag";
    default:
      return "json";
  }
}

/** The fields of a form; none where the schema describes no object with members of its own. */
export function fieldsOf(schema: unknown): FormField[] | undefined {
  if (typeof schema !== "object" || schema === null) return undefined;
  const root = schema as Schema;
  const top = resolved(root, root);
  if (!top.properties || Object.keys(top.properties).length === 0) return undefined;
  return Object.entries(top.properties).map(([name, member]) => {
    const own = resolved(member, root);
    return {
      name,
      label: own.title ?? name,
      schema: own,
      control: controlOf(own),
      isRequired: top.required?.includes(name) ?? false,
    };
  });
}

/** What a form holds: text as it was typed, and flags. */
export type Draft = Record<string, string | boolean>;

/** What a form begins with. */
export function draftOf(fields: FormField[], value?: Record<string, unknown>): Draft {
  const draft: Draft = {};
  for (const { name, schema, control } of fields) {
    const known = value?.[name] ?? schema.default;
    if (control === "flag") draft[name] = known === true;
    else if (known === undefined || known === null) draft[name] = "";
    else
      draft[name] = typeof known === "string" && control !== "json" ? known : JSON.stringify(known, null, 1);
  }
  return draft;
}

/** The value that a form says, or what is wrong with which field. */
export function valueOfDraft(
  fields: FormField[],
  draft: Draft,
): { value: Record<string, unknown>; errors: Record<string, string> } {
  const value: Record<string, unknown> = {};
  const errors: Record<string, string> = {};
  for (const field of fields) {
    const given = draft[field.name];
    if (typeof given === "boolean") {
      if (given || field.isRequired || field.schema.default === true) value[field.name] = given;
      continue;
    }
    const text = given ?? "";
    if (
      text.trim() === "" &&
      !(field.control === "text" && field.isRequired && field.schema.minLength === 0)
    ) {
      if (field.isRequired) errors[field.name] = "This is needed.";
      continue;
    }
    const read = readOne(field, text);
    if ("error" in read) errors[field.name] = read.error;
    else value[field.name] = read.value;
  }
  return { value, errors };
}

function readOne({ control, schema }: FormField, text: string): { value: unknown } | { error: string } {
  if (control === "choice") {
    const found = schema.enum?.find((one) => String(one) === text);
    return found === undefined ? { error: "This is none of the choices." } : { value: found };
  }
  if (control === "json") {
    try {
      return { value: JSON.parse(text) as unknown };
    } catch (error) {
      return { error: `This is no JSON: ${(error as Error).message}` };
    }
  }
  if (control === "text") return text_(schema, text);
  const n = Number(text);
  if (!Number.isFinite(n)) return { error: "This is no number." };
  if (control === "integer" && !Number.isInteger(n)) return { error: "This must be a whole number." };
  if (schema.minimum !== undefined && n < schema.minimum) return { error: `At least ${schema.minimum}.` };
  if (schema.maximum !== undefined && n > schema.maximum) return { error: `At most ${schema.maximum}.` };
  return { value: n };
}

function text_(schema: Schema, text: string): { value: string } | { error: string } {
  const length = Array.from(text).length;
  if (schema.minLength !== undefined && length < schema.minLength) {
    return { error: `At least ${schema.minLength} characters.` };
  }
  if (schema.maxLength !== undefined && length > schema.maxLength) {
    return { error: `At most ${schema.maxLength} characters.` };
  }
  if (schema.pattern !== undefined) {
    try {
      if (!new RegExp(schema.pattern, "u").test(text))
        return { error: `It has to be like ${schema.pattern}` };
    } catch {
      // The server knows the pattern, too.
    }
  }
  return { value: text };
}
