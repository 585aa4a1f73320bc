import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { canonical, intent, NotJson, stepIdempotencyKey, verifyExport } from "everloop";

const vectors = new URL("../../../../docs/vectors/", import.meta.url);
const read = (name: string) => readFileSync(new URL(name, vectors), "utf8");

test("what JavaScript can hold is written as the vectors say", () => {
  const rows = JSON.parse(read("canonical.json")) as { input: string; canonical?: string }[];
  let held = 0;
  for (const { input, canonical: expected } of rows) {
    if (expected === undefined) continue;
    const value = JSON.parse(input);
    // 64-bit integers are no numbers of JavaScript.
    if (/\d{17,}/.test(expected)) continue;
    assert.equal(canonical(value), expected, input);
    held += 1;
  }
  assert.ok(held >= 5, `only ${held} vectors were held against it`);
});

test("digests are as the vectors say", () => {
  const { intent: of, step } = JSON.parse(read("digests.json"));
  assert.equal(intent(canonical(JSON.parse(of.arguments))), of.intent);
  assert.equal(stepIdempotencyKey(step.task, step.step), step.idempotency_key);
});

test("what JSON has no form for is named with its path", () => {
  const self: { me?: unknown } = {};
  self.me = self;
  for (const [value, path] of [
    [{ a: [1, () => 1] }, "$.a[1]"],
    [[Number.NaN], "$[0]"],
    [[undefined], "$[0]"],
    [{ m: new Map() }, "$.m"],
    [self, "$.me"],
    ["\ud800", "$"],
    [{ b: 1n }, "$.b"],
  ] as const) {
    assert.throws(
      () => canonical(value),
      (error) => error instanceof NotJson && error.path === path,
    );
  }
  assert.equal(canonical({ b: undefined, a: new Date(0) }), '{"a":"1970-01-01T00:00:00.000Z"}');
});

test("exports of the vectors are checked as the vectors say", () => {
  const keys = JSON.parse(read("jwks.json"));
  for (const name of ["finished", "payloads-gone", "trimmed"]) {
    assert.equal(verifyExport(read(`${name}.jsonl`), { keys }).verdict, "verified", name);
    assert.equal(verifyExport(read(`${name}.jsonl`)).verdict, "signer_unknown", name);
  }
  assert.equal(verifyExport(read("unfinished.jsonl"), { keys }).verdict, "unsigned");
  assert.deepEqual(verifyExport(read("payloads-gone.jsonl"), { keys }).gone, [1, 5]);
  const tampered = JSON.parse(read("tampered.json")) as { file: string; seq: number | null }[];
  assert.ok(tampered.length > 10);
  for (const { file, seq } of tampered) {
    const checked = verifyExport(read(file), { keys });
    assert.deepEqual(
      [checked.verdict, checked.brokenAt ?? null],
      ["broken", seq],
      `${file}: ${checked.reason}`,
    );
  }
});
