import { cleanup, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, expect, test, vi } from "vitest";
import { ApiError } from "@/api/http";
import type { Problem } from "@/api/types";
import { confirm } from "./confirm";
import { Confirmations } from "./confirmations";
import { Json } from "./json";
import { Failure } from "./page";
import { StateBadge, toneOf } from "./state";
import { failed, said, Toasts } from "./toast";

afterEach(cleanup);

test("something destructive is only done after a yes", async () => {
  render(<Confirmations />);
  const question = {
    title: "Cancel 3 tasks?",
    about: "They can't go on.",
    act: "Cancel 3 tasks",
    danger: true,
  };
  const first = confirm(question);
  await userEvent.click(await screen.findByRole("button", { name: "Keep as it is" }));
  expect(await first).toBe(false);
  const second = confirm(question);
  await userEvent.click(await screen.findByRole("button", { name: "Cancel 3 tasks" }));
  expect(await second).toBe(true);
  const third = confirm(question);
  await screen.findByRole("dialog", { name: "Cancel 3 tasks?" });
  await userEvent.keyboard("{Escape}");
  expect(await third).toBe(false);
});

const problem = {
  code: "unknown_kind",
  title: "No worker runs this kind",
  detail: "Nobody runs ghost.",
  hint: "Start a worker.",
  request_id: "req_1",
} as Problem;

test("a refusal is shown with its remedy and can be tried again", async () => {
  const retry = vi.fn();
  render(<Failure error={new ApiError(problem)} retry={retry} />);
  expect(screen.getByRole("alert").textContent).toContain("Nobody runs ghost. Start a worker.");
  expect(screen.getByText(/req_1/)).toBeTruthy();
  await userEvent.click(screen.getByRole("button", { name: "Try again" }));
  expect(retry).toHaveBeenCalledOnce();
});

test("toasts are said, tell the remedy and can be dismissed", async () => {
  render(<Toasts />);
  said("It goes on.");
  failed(new ApiError(problem));
  expect(await screen.findByText("It goes on.")).toBeTruthy();
  expect(screen.getByText("Start a worker.")).toBeTruthy();
  for (const button of screen.getAllByRole("button", { name: "Dismiss" })) await userEvent.click(button);
  expect(screen.getByRole("status").textContent).toBe("");
});

test("every state has a tone, and a new one is quiet", () => {
  render(<StateBadge state="handed_back" />);
  expect(screen.getByText("handed back")).toBeTruthy();
  expect([toneOf("running"), toneOf("failed"), toneOf("brand_new")]).toEqual(["accent", "bad", "quiet"]);
});

test("JSON is shown with nothing added, lost or run", () => {
  const value = { a: [1, true, null], html: "<img src=x onerror=alert(1)>", q: 'say "hi": 1' };
  render(<Json value={value} label="input" />);
  const shown = screen.getByLabelText("input");
  expect(JSON.parse(shown.textContent)).toEqual(value);
  expect(shown.querySelector("img")).toBeNull();
});
