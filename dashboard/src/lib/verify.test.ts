// @vitest-environment node
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { verifyExport, type PublicKey } from "./verify";

const vectors = new URL("../../../docs/vectors/", import.meta.url);
const read = (name: string) => readFileSync(new URL(name, vectors), "utf8");
const { keys } = JSON.parse(read("jwks.json")) as { keys: PublicKey[] };
const altered = JSON.parse(read("tampered.json")) as { file: string; seq: number | null }[];

test.each([
  ["finished.jsonl", "verified", 6, 0],
  ["payloads-gone.jsonl", "verified", 6, 2],
  ["trimmed.jsonl", "verified", 2, 0],
  ["unfinished.jsonl", "unsigned", 5, 0],
  ["receipt-only.jsonl", "verified", 0, 0],
])("%s is %s", async (name, verdict, events, gone) => {
  expect(await verifyExport(read(name), keys)).toMatchObject({ verdict, events, gone });
});

test("without a key that is trusted the signer is unknown", async () => {
  expect((await verifyExport(read("finished.jsonl"), [])).verdict).toBe("signer_unknown");
});

test("every vector that was altered is found out, at the event that was altered", async () => {
  expect(altered.length).toBe(readdirSync(new URL("tampered/", vectors)).length);
  for (const { file, seq } of altered) {
    const found = await verifyExport(read(file), keys);
    expect(found.verdict, file).toBe("broken");
    if (seq !== null) expect(found.brokenAt, `${file}: ${found.reason}`).toBe(seq);
  }
});
