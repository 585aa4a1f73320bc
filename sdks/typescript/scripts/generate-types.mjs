// Writes src/api/types.ts of the package it is run in: one TypeScript type for each schema of docs/openapi.json. With --check it
// only compares.
import { readFileSync, writeFileSync } from "node:fs";

const source = new URL("../../../docs/openapi.json", import.meta.url);
const target = "src/api/types.ts";

const name = (ref) => ref.slice(ref.lastIndexOf("/") + 1);
const quoted = (key) => (/^[A-Za-z_][A-Za-z0-9_]*$/.test(key) ? key : JSON.stringify(key));
const doc = (text, indent) =>
  text ? `${indent}/** ${text.trim().replaceAll("*/", "*\\/").replaceAll("\n", `\n${indent} * `)} */\n` : "";

function type(schema, indent) {
  if (schema === true || schema === undefined) return "unknown";
  if (schema.$ref) return name(schema.$ref);
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((word) => JSON.stringify(word)).join(" | ");
  for (const many of ["oneOf", "anyOf"]) {
    if (schema[many]) return schema[many].map((one) => type(one, indent)).join(" | ");
  }
  if (schema.allOf) return schema.allOf.map((one) => type(one, indent)).join(" & ");
  const types = [schema.type].flat();
  const written = types.map((one) => {
    if (one === "array") {
      const items = type(schema.items, indent);
      return /[|&]/.test(items) ? `(${items})[]` : `${items}[]`;
    }
    if (one === "object") return object(schema, indent);
    if (one === "integer" || one === "number") return "number";
    return one ?? "unknown";
  });
  return [...new Set(written)].join(" | ");
}

function object(schema, indent) {
  const inner = `${indent}  `;
  const required = new Set(schema.required ?? []);
  const members = Object.entries(schema.properties ?? {}).map(([key, member]) => {
    const optional = required.has(key) ? "" : "?";
    return `${doc(member.description, inner)}${inner}${quoted(key)}${optional}: ${type(member, inner)};\n`;
  });
  if (members.length === 0) {
    const values = schema.additionalProperties;
    return `Record<string, ${values === false ? "never" : type(values || undefined, indent)}>`;
  }
  return `{\n${members.join("")}${indent}}`;
}

const document = JSON.parse(readFileSync(source, "utf8"));
const parts = Object.entries(document.components.schemas).map(
  ([key, schema]) => `${doc(schema.description, "")}export type ${key} = ${type(schema, "")};\n`,
);
const text = `// Generated from docs/openapi.json by \`npm run generate\`.\n\n${parts.join("\n")}`;
if (process.argv.includes("--check")) {
  if (readFileSync(target, "utf8") !== text) {
    console.error("src/api/types.ts is not what docs/openapi.json says: run `npm run generate`");
    process.exit(1);
  }
} else {
  writeFileSync(target, text);
}
