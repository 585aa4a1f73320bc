import { expect, test } from "vitest";
import { readLabels, readPriority, showLabels } from "./labels";

test("labels are read as they are shown, whatever stands in their values", () => {
  const labels = { team: "search", note: "at 10:30, or so", empty: "" };
  expect(readLabels(showLabels(labels), /\n/)).toEqual({ labels });
  expect(readLabels("team:ui env=prod, on:a:b", /[,\s]+/).labels).toEqual({
    team: "ui",
    env: "prod",
    on: "a:b",
  });
  expect(readLabels("  \n", /\n/)).toEqual({ labels: {} });
  expect(readLabels("alone", /\n/).error).toBe("alone is not of the form name:value.");
});

test("a priority is a whole number that the server takes", () => {
  expect(readPriority(" 10 ")).toEqual({ priority: 10 });
  expect(readPriority("")).toEqual({ priority: 0 });
  for (const wrong of ["101", "-101", "1.5", "high"]) expect(readPriority(wrong)).toHaveProperty("error");
});
