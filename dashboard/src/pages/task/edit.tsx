import { useState, type SyntheticEvent } from "react";
import { fieldErrors, get, send } from "@/api/http";
import { taskPath } from "@/api/queries";
import type { PatchRequest, TaskView } from "@/api/types";
import { readLabels, readPriority, showLabels } from "@/lib/labels";
import { Button } from "@/parts/button";
import { Dialog, DialogActions, DialogBody } from "@/parts/dialog";
import { Field, Input, Textarea } from "@/parts/form";
import { failed, said } from "@/parts/toast";

/** Changes what a live task is called, and when it has its turn. */
export function Edit({ task, close, done }: { task: TaskView; close: () => void; done: () => void }) {
  const before = {
    title: task.title ?? "",
    description: task.description ?? "",
    priority: String(task.policy?.priority ?? 0),
    labels: showLabels(task.labels ?? {}),
  };
  const [draft, setDraft] = useState(before);
  const [errors, setErrors] = useState<Record<string, string>>({});
  const [isBusy, setBusy] = useState(false);
  const set = (name: keyof typeof draft) => (event: { target: { value: string } }) =>
    setDraft({ ...draft, [name]: event.target.value });
  const isChanged = (name: keyof typeof draft) => draft[name].trim() !== before[name].trim();

  const change = async (): Promise<PatchRequest | undefined> => {
    const { labels, error } = readLabels(draft.labels, /\n/);
    const priority = readPriority(draft.priority);
    const wrong = {
      ...(error ? { labels: error } : {}),
      ...("error" in priority ? { "policy.priority": priority.error } : {}),
    };
    setErrors(wrong);
    if (error !== undefined || "error" in priority) return undefined;
    const patch: PatchRequest = {};
    if (isChanged("title")) patch.title = draft.title.trim();
    if (isChanged("description")) patch.description = draft.description.trim();
    if (isChanged("labels")) patch.labels = labels;
    if (isChanged("priority")) {
      // A policy is replaced whole: what else is in it is taken from the task as it is now.
      const { policy } = await get<TaskView>(taskPath(task.id));
      patch.policy = { ...policy, ...priority };
    }
    return patch;
  };
  const submit = async (event: SyntheticEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      const patch = await change();
      if (!patch) return;
      if (Object.keys(patch).length > 0) {
        await send<TaskView>("PATCH", taskPath(task.id), patch);
        said("The task is changed.");
      }
      done();
      close();
    } catch (error) {
      setErrors(fieldErrors(error));
      failed(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && close()}
      title="Edit this task"
      about="What it does stays as it is. The change stands in its events."
    >
      <form noValidate className="contents" onSubmit={(event) => void submit(event)}>
        <DialogBody className="flex flex-col gap-4">
          <Field id="edit-title" label="Title" error={errors["title"]}>
            <Input id="edit-title" value={draft.title} onChange={set("title")} />
          </Field>
          <Field id="edit-description" label="Description" error={errors["description"]}>
            <Input id="edit-description" value={draft.description} onChange={set("description")} />
          </Field>
          <Field
            id="edit-priority"
            label="Priority"
            hint="From -100 to 100; higher comes first in the queue."
            error={errors["policy.priority"]}
          >
            <Input
              id="edit-priority"
              className="tnum w-24"
              inputMode="numeric"
              value={draft.priority}
              onChange={set("priority")}
            />
          </Field>
          <Field
            id="edit-labels"
            label="Labels"
            hint="One name:value on each line; a line that goes takes its label away."
            error={errors["labels"]}
          >
            <Textarea id="edit-labels" value={draft.labels} onChange={set("labels")} />
          </Field>
        </DialogBody>
        <DialogActions>
          <Button onClick={close}>Back</Button>
          <Button type="submit" look="primary" disabled={isBusy}>
            Save
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}
