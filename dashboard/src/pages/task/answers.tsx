import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { CircleHelp, Keyboard, Wrench } from "lucide-react";
import { useId, useState } from "react";
import { send } from "@/api/http";
import { inboxQuery, taskPath } from "@/api/queries";
import type { InboxItem, TaskView } from "@/api/types";
import { Button } from "@/parts/button";
import { Field, Input, Textarea } from "@/parts/form";
import { Json } from "@/parts/json";
import { failed, said } from "@/parts/toast";
import { Ago } from "@/parts/time";
import { valueOf } from "./acts";

const WORDS: Record<string, string> = {
  happened: "It happened",
  rerun: "Run it again",
  fail: "Let it fail",
  approve: "Approve",
  reject: "Reject",
};

const WANTS = { decision: CircleHelp, input: Keyboard, repair: Wrench };

/** What this task asks of a person. */
export function Answers({ task }: { task: TaskView }) {
  const inbox = useQuery({ ...inboxQuery, enabled: task.state === "waiting" || task.state === "paused" });
  const own = inbox.data?.items.filter((item) => item.task === task.id) ?? [];
  if (own.length === 0 || (task.state !== "waiting" && task.state !== "paused")) return null;
  return (
    <section aria-label="What it asks" className="card divide-y border-l-3 border-l-accent">
      {own.map((item) => (
        <Answer key={`${item.task} ${item.id}`} item={item} />
      ))}
    </section>
  );
}

function promptOf(item: InboxItem): string {
  if (item.prompt) return item.prompt;
  if (item.wants === "input") return `It waits for an input called ${item.id}.`;
  if (item.wants === "repair") return "The code does something else than what was recorded.";
  return "Somebody has to decide.";
}

/** One question with its context, and the ways to answer it. */
export function Answer({ item, showTask = false }: { item: InboxItem; showTask?: boolean }) {
  const Icon = WANTS[item.wants];
  return (
    <article className="flex gap-3 p-4" data-inbox-item={item.task}>
      <Icon aria-hidden className="mt-0.5 size-4 shrink-0 text-accent-text" />
      <div className="flex min-w-0 flex-1 flex-col gap-3">
        <div>
          {showTask && (
            <p className="flex flex-wrap items-baseline gap-x-2 text-[12.5px] text-faint">
              <Link
                to="/tasks/$id"
                params={{ id: item.task }}
                data-row-link
                className="font-medium text-accent-text hover:underline"
              >
                {item.title ?? item.kind}
              </Link>
              <span>{item.kind}</span>
              <span className="tnum ml-auto">
                <Ago at={item.since} />
              </span>
            </p>
          )}
          <p className="text-[15px] wrap-anywhere">{promptOf(item)}</p>
        </div>
        {item.details != null && (
          <div className="rounded-md bg-sunken">
            <Json value={item.details} label="what belongs to the question" />
          </div>
        )}
        {item.wants === "decision" && <Decide item={item} />}
        {item.wants === "input" && <GiveInput item={item} />}
        {item.wants === "repair" && <Repair item={item} />}
      </div>
    </article>
  );
}

function useAnswer(item: InboxItem, word: string) {
  const client = useQueryClient();
  const [isBusy, setBusy] = useState(false);
  const answer = async (path: string, body: unknown) => {
    setBusy(true);
    try {
      await send("POST", `${taskPath(item.task)}/${path}`, body);
      said(word);
    } catch (error) {
      failed(error);
    } finally {
      setBusy(false);
      await Promise.all([
        client.invalidateQueries({ queryKey: ["inbox"] }),
        client.invalidateQueries({ queryKey: ["task", item.task] }),
      ]);
    }
  };
  return { isBusy, answer };
}

function Decide({ item }: { item: InboxItem }) {
  const id = useId();
  const [note, setNote] = useState("");
  const [word, setWord] = useState("");
  const { isBusy, answer } = useAnswer(item, "The decision is recorded.");
  const decide = (decision: string) =>
    answer("decision", { id: item.id, decision, ...(note.trim() ? { note: note.trim() } : {}) });
  const choices = item.choices ?? [];
  return (
    <div className="flex flex-wrap items-end gap-2">
      {choices.map((choice, i) => (
        <Button
          key={choice}
          look={i === 0 ? "primary" : "plain"}
          disabled={isBusy}
          onClick={() => void decide(choice)}
        >
          {WORDS[choice] ?? choice}
        </Button>
      ))}
      {choices.length === 0 && (
        <form
          className="flex gap-2"
          onSubmit={(event) => {
            event.preventDefault();
            void decide(word.trim());
          }}
        >
          <Input aria-label="Decision" value={word} onChange={(event) => setWord(event.target.value)} />
          <Button type="submit" look="primary" disabled={isBusy || word.trim() === ""}>
            Decide
          </Button>
        </form>
      )}
      <Input
        id={`${id}-note`}
        aria-label="Why (may be empty)"
        placeholder="Why (may be empty)"
        className="w-64"
        value={note}
        onChange={(event) => setNote(event.target.value)}
      />
    </div>
  );
}

function GiveInput({ item }: { item: InboxItem }) {
  const id = useId();
  const [text, setText] = useState("");
  const { isBusy, answer } = useAnswer(item, "The input is recorded.");
  return (
    <form
      className="flex flex-col items-start gap-2"
      onSubmit={(event) => {
        event.preventDefault();
        void answer("input", { name: item.id, data: valueOf(text) });
      }}
    >
      <div className="w-full max-w-xl">
        <Field id={id} label={`Input ${item.id}`} hint="JSON; any other text is sent as text.">
          <Textarea
            id={id}
            className="min-h-16"
            value={text}
            onChange={(event) => setText(event.target.value)}
            onKeyDown={(event) => {
              if (event.key === "Enter" && (event.ctrlKey || event.metaKey))
                event.currentTarget.form?.requestSubmit();
            }}
          />
        </Field>
      </div>
      <Button type="submit" look="primary" disabled={isBusy}>
        Send
      </Button>
    </form>
  );
}

/** The step at which the code does something else than what was recorded. */
function stepOf(details: unknown): string | undefined {
  const { step } = (details ?? {}) as { step?: unknown };
  return typeof step === "string" && step !== "" ? step : undefined;
}

function Repair({ item }: { item: InboxItem }) {
  const { isBusy, answer } = useAnswer(item, "It goes on.");
  const navigate = useNavigate();
  const step = stepOf(item.details);
  const fork = async () => {
    try {
      const body = { from_step: step };
      const { id } = await send<TaskView>("POST", `${taskPath(item.task)}/fork`, body);
      said("A new task goes on from there; this one stays as it is.");
      await navigate({ to: "/tasks/$id", params: { id } });
    } catch (error) {
      failed(error);
    }
  };
  return (
    <div className="flex flex-wrap gap-2">
      <Button look="primary" disabled={isBusy} onClick={() => void answer("resume", {})}>
        Resume under the code as it is now
      </Button>
      {step !== undefined && (
        <Button disabled={isBusy} onClick={() => void fork()}>
          Fork from {step}
        </Button>
      )}
    </div>
  );
}
