import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import {
  Ban,
  Copy,
  CopyPlus,
  Ellipsis,
  GitFork,
  Pause,
  Pencil,
  Play,
  RotateCcw,
  Send,
  Trash2,
} from "lucide-react";
import { useState } from "react";
import { actOn } from "@/api/acts";
import { send } from "@/api/http";
import { controlQuery, isOver, taskPath } from "@/api/queries";
import type { BulkAct, InputAnswer, StepView, TaskView } from "@/api/types";
import { startSnippets } from "@/lib/snippets";
import { awaitedInputs } from "@/lib/why";
import { Button } from "@/parts/button";
import { confirm } from "@/parts/confirm";
import { copyText } from "@/parts/copy";
import { Dialog, DialogActions, DialogBody } from "@/parts/dialog";
import { Field, Input, Textarea } from "@/parts/form";
import { Menu, MenuItem, MenuLine } from "@/parts/menu";
import { failed, said } from "@/parts/toast";
import { Edit } from "./edit";

interface Props {
  task: TaskView;
  forkFrom: StepView | "ask" | undefined;
  setForkFrom: (from: StepView | "ask" | undefined) => void;
}

/** Everything that can be done to a task now. */
export function TaskActs({ task, forkFrom, setForkFrom }: Props) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const control = useQuery(controlQuery(task.id));
  const [isSending, setSending] = useState(false);
  const [isEditing, setEditing] = useState(false);
  const can = (what: string) => control.data?.allowed.includes(what) ?? false;
  const refresh = () => void client.invalidateQueries({ queryKey: ["task", task.id] });
  const act = async (what: BulkAct, word: string) => {
    try {
      const now = await actOn(task.id, what);
      said(word);
      if (what === "redrive") await navigate({ to: "/tasks/$id", params: { id: now.id } });
      refresh();
    } catch (error) {
      failed(error);
    }
  };
  const cancel = async () => {
    const isSure = await confirm({
      title: "Cancel this task?",
      about: "It can't go on then. Its history stays, and it can be forked.",
      act: "Cancel the task",
      danger: true,
    });
    if (isSure) await act("cancel", "It is being cancelled.");
  };
  const remove = async () => {
    const isSure = await confirm({
      title: "Delete this task?",
      about: "Its input, its result and what its events say are gone then, for ever.",
      act: "Delete for ever",
      danger: true,
    });
    if (!isSure) return;
    try {
      await send("DELETE", taskPath(task.id));
      said("The task is deleted.");
      await navigate({ to: "/tasks" });
      await client.invalidateQueries({ queryKey: ["tasks"] });
    } catch (error) {
      failed(error);
    }
  };
  return (
    <>
      {can("resume") && (
        <Button look="primary" onClick={() => void act("resume", "It goes on.")}>
          <Play /> Resume
        </Button>
      )}
      {can("pause") && (
        <Button onClick={() => void act("pause", "It pauses at the end of its step.")}>
          <Pause /> Pause
        </Button>
      )}
      {task.state === "failed" && (
        <Button look="primary" onClick={() => void act("redrive", "A new task goes on for it.")}>
          <RotateCcw /> Redrive
        </Button>
      )}
      {can("cancel") && (
        <Button look="danger" onClick={() => void cancel()}>
          <Ban /> Cancel
        </Button>
      )}
      <Menu
        trigger={
          <Button size="icon" aria-label="More to do">
            <Ellipsis />
          </Button>
        }
      >
        <MenuItem onSelect={() => setEditing(true)} disabled={isOver(task.state)}>
          <Pencil /> Edit…
        </MenuItem>
        <MenuItem onSelect={() => setForkFrom("ask")} disabled={!can("fork")}>
          <GitFork /> Fork…
        </MenuItem>
        <MenuItem onSelect={() => void navigate({ to: "/new", search: { like: task.id } })}>
          <CopyPlus /> Start one like it…
        </MenuItem>
        <MenuItem onSelect={() => setSending(true)} disabled={!can("input")}>
          <Send /> Send an input…
        </MenuItem>
        <MenuLine />
        {startSnippets(task, new URL(".", document.baseURI).href.replace(/\/$/, "")).map(({ name, text }) => (
          <MenuItem
            key={name}
            onSelect={() => void copyText(text).then((done) => done && said(`Copied, as ${name}.`))}
          >
            <Copy /> Copy as {name}
          </MenuItem>
        ))}
        <MenuLine />
        <MenuItem onSelect={() => void remove()} disabled={!can("delete")} danger>
          <Trash2 /> Delete…
        </MenuItem>
      </Menu>
      {isEditing && <Edit task={task} close={() => setEditing(false)} done={refresh} />}
      {isSending && <SendInput task={task} close={() => setSending(false)} done={refresh} />}
      {forkFrom && <Fork task={task} from={forkFrom} close={() => setForkFrom(undefined)} />}
    </>
  );
}

/** Reads JSON; text that is none is taken as text, so that nobody has to write quotes. */
export function valueOf(text: string): unknown {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  try {
    return JSON.parse(trimmed) as unknown;
  } catch {
    return text;
  }
}

function SendInput({ task, close, done }: { task: TaskView; close: () => void; done: () => void }) {
  const [name, setName] = useState(awaitedInputs(task.waiting_for)[0] ?? "");
  const [data, setData] = useState("");
  const submit = async () => {
    try {
      await send<InputAnswer>("POST", `${taskPath(task.id)}/input`, {
        name: name.trim(),
        data: valueOf(data),
      });
      said("The input is recorded.");
      done();
      close();
    } catch (error) {
      failed(error);
    }
  };
  return (
    <Dialog open onOpenChange={(open) => !open && close()} title="Send an input">
      <DialogBody className="flex flex-col gap-4">
        <Field id="input-name" label="For whom in the task" hint="The name that it waits for.">
          <Input id="input-name" value={name} onChange={(event) => setName(event.target.value)} />
        </Field>
        <Field id="input-data" label="What" hint="JSON; any other text is sent as text.">
          <Textarea id="input-data" value={data} onChange={(event) => setData(event.target.value)} />
        </Field>
      </DialogBody>
      <DialogActions>
        <Button onClick={close}>Back</Button>
        <Button look="primary" disabled={name.trim() === ""} onClick={() => void submit()}>
          Send
        </Button>
      </DialogActions>
    </Dialog>
  );
}

function Fork({ task, from, close }: { task: TaskView; from: StepView | "ask"; close: () => void }) {
  const navigate = useNavigate();
  const [step, setStep] = useState(from === "ask" ? "" : from.step);
  const [key, setKey] = useState("");
  const submit = async () => {
    try {
      const body = {
        ...(step.trim() ? { from_step: step.trim() } : {}),
        ...(key.trim() ? { key: key.trim() } : {}),
      };
      const fork = await send<TaskView>("POST", `${taskPath(task.id)}/fork`, body);
      said("The fork is on its way.");
      close();
      await navigate({ to: "/tasks/$id", params: { id: fork.id } });
    } catch (error) {
      failed(error);
    }
  };
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && close()}
      title="Fork this task"
      about="A new task that begins with what this one recorded. Nothing changes in this one."
    >
      <DialogBody className="flex flex-col gap-4">
        <Field
          id="fork-step"
          label="Run again from step"
          hint="This step and those after it run anew. Empty: everything is kept."
        >
          <Input
            id="fork-step"
            className="font-mono text-[12.5px]"
            value={step}
            onChange={(event) => setStep(event.target.value)}
          />
        </Field>
        <Field id="fork-key" label="Key of the fork" hint="Your own name for it; may be empty.">
          <Input id="fork-key" value={key} onChange={(event) => setKey(event.target.value)} />
        </Field>
      </DialogBody>
      <DialogActions>
        <Button onClick={close}>Back</Button>
        <Button look="primary" onClick={() => void submit()}>
          <GitFork /> Fork
        </Button>
      </DialogActions>
    </Dialog>
  );
}
