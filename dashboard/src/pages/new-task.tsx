import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Play } from "lucide-react";
import { useState, type SyntheticEvent } from "react";
import { fieldErrors, send } from "@/api/http";
import { kindsQuery, taskQuery } from "@/api/queries";
import type { KindView, TaskRequest, TaskView } from "@/api/types";
import { readLabels, readPriority } from "@/lib/labels";
import { draftOf, fieldsOf, valueOfDraft, type Draft, type FormField } from "@/lib/schema";
import { startSnippets } from "@/lib/snippets";
import { Button } from "@/parts/button";
import { CopyButton } from "@/parts/copy";
import { Field, Input, Select, Textarea } from "@/parts/form";
import { Failure, PageFrame, Section, Skeleton } from "@/parts/page";
import { failed, said } from "@/parts/toast";

/** What a task of a built-in kind may look like, where the kind says nothing itself. */
const EXAMPLES: Record<string, unknown> = {
  mock: {
    steps: [{ name: "fetch", duration_ms: 800 }, { name: "think", duration_ms: 1500 }, { name: "write" }],
    result: "done",
  },
  shell: { argv: ["ls", "-l"] },
  http: { url: "http://127.0.0.1:7420/health" },
};

/** Starts a task. */
export function NewTaskPage() {
  const { kind, like } = useSearch({ from: "/new" });
  const kinds = useQuery(kindsQuery);
  const model = useQuery({ ...taskQuery(like ?? ""), enabled: like !== undefined });
  if (kinds.isPending || (like !== undefined && model.isPending)) {
    return (
      <PageFrame title="New task">
        <Skeleton />
      </PageFrame>
    );
  }
  if (!kinds.data) {
    return (
      <PageFrame title="New task">
        <Failure error={kinds.error} retry={() => void kinds.refetch()} />
      </PageFrame>
    );
  }
  const first =
    model.data?.kind ??
    kind ??
    kinds.data.items.find(({ name }) => name === "mock")?.name ??
    kinds.data.items[0]?.name ??
    "";
  return <NewTask key={`${first} ${like ?? ""}`} kinds={kinds.data.items} first={first} model={model.data} />;
}

function NewTask({ kinds, first, model }: { kinds: KindView[]; first: string; model: TaskView | undefined }) {
  const navigate = useNavigate();
  const [kind, setKind] = useState(first);
  const view = kinds.find(({ name }) => name === kind);
  const fields = fieldsOf(view?.input_schema);
  const known = model?.kind === kind ? model.input : undefined;
  const [isRaw, setRaw] = useState(fields === undefined);
  const [draft, setDraft] = useState<Draft>(() => draftOf(fields ?? [], members(known ?? EXAMPLES[kind])));
  const [raw, setRawText] = useState(() => textOf(known ?? EXAMPLES[kind]));
  const [more, setMore] = useState({
    title: model?.title ?? "",
    description: model?.description ?? "",
    key: "",
    queue: "",
    priority: String(model?.policy?.priority ?? ""),
    labels: "",
  });
  const [errors, setErrors] = useState<Record<string, string>>({});
  const [isBusy, setBusy] = useState(false);

  const choose = (name: string) => {
    const next = fieldsOf(kinds.find((one) => one.name === name)?.input_schema);
    setKind(name);
    setRaw(next === undefined);
    setDraft(draftOf(next ?? [], members(EXAMPLES[name])));
    setRawText(textOf(EXAMPLES[name]));
    setErrors({});
  };
  const turn = (toRaw: boolean) => {
    if (toRaw) setRawText(textOf(valueOfDraft(fields ?? [], draft).value));
    else {
      try {
        setDraft(draftOf(fields ?? [], members(JSON.parse(raw))));
      } catch {
        // What is no JSON can't be put into fields: they keep what they had.
      }
    }
    setErrors({});
    setRaw(toRaw);
  };
  const build = (): { request: TaskRequest; errors: Record<string, string> } => {
    const wrong: Record<string, string> = {};
    let input: unknown;
    if (isRaw || !fields) {
      try {
        input = raw.trim() === "" ? undefined : (JSON.parse(raw) as unknown);
      } catch (error) {
        wrong["raw"] = `This is no JSON: ${(error as Error).message}`;
      }
    } else {
      const read = valueOfDraft(fields, draft);
      input = read.value;
      Object.assign(wrong, read.errors);
    }
    const { labels, error: labelError } = readLabels(more.labels, /[,\s]+/);
    if (labelError) wrong["labels"] = labelError;
    const priority = readPriority(more.priority);
    if ("error" in priority) wrong["policy.priority"] = priority.error;
    const request: TaskRequest = { kind };
    if (input !== undefined) request.input = input;
    if (more.title.trim()) request.title = more.title.trim();
    if (more.key.trim()) request.key = more.key.trim();
    if (more.queue.trim()) request.queue = more.queue.trim();
    if (Object.keys(labels).length > 0) request.labels = labels;
    if (more.description.trim()) request.description = more.description.trim();
    const policy = model?.kind === kind ? model.policy : undefined;
    if (policy) request.policy = policy;
    if ("priority" in priority && priority.priority !== (policy?.priority ?? 0)) {
      request.policy = { ...policy, priority: priority.priority };
    }
    return { request, errors: wrong };
  };
  const submit = async (event: SyntheticEvent) => {
    event.preventDefault();
    const { request, errors: wrong } = build();
    setErrors(wrong);
    if (Object.keys(wrong).length > 0) {
      const id = Object.keys(wrong)[0] ?? "";
      const own = { raw: "new-raw", labels: "new-labels", "policy.priority": "new-priority" }[id];
      document.getElementById(own ?? `field-${id}`)?.focus();
      return;
    }
    setBusy(true);
    try {
      const task = await send<TaskView>("POST", "/api/v1/tasks", request);
      said("The task is on its way.");
      await navigate({ to: "/tasks/$id", params: { id: task.id } });
    } catch (error) {
      setErrors(fieldErrors(error));
      failed(error);
    } finally {
      setBusy(false);
    }
  };
  const { request, errors: unsaid } = build();
  const shown =
    Object.keys(unsaid).length === 0
      ? startSnippets(
          { ...request, queue: request.queue ?? "default" },
          new URL(".", document.baseURI).href.replace(/\/$/, ""),
        )
      : [];
  const set = (name: keyof typeof more) => (event: { target: { value: string } }) =>
    setMore({ ...more, [name]: event.target.value });
  return (
    <PageFrame title="New task">
      <form
        noValidate
        onSubmit={(event) => void submit(event)}
        className="grid items-start gap-4 lg:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]"
      >
        <Section
          title="What it does"
          side={
            fields && (
              <Button size="small" aria-pressed={isRaw} onClick={() => turn(!isRaw)}>
                {isRaw ? "As a form" : "As JSON"}
              </Button>
            )
          }
        >
          <div className="flex flex-col gap-4 p-4">
            <Field id="new-kind" label="Kind" hint={view?.about ?? undefined}>
              <Select id="new-kind" value={kind} onChange={(event) => choose(event.target.value)}>
                {!view && <option>{kind}</option>}
                {kinds.map(({ name }) => (
                  <option key={name}>{name}</option>
                ))}
              </Select>
            </Field>
            {isRaw || !fields ? (
              <Field
                id="new-raw"
                label="Input"
                hint="JSON; may be empty."
                error={errors["raw"] ?? errors["input"]}
              >
                <Textarea
                  id="new-raw"
                  className="min-h-56"
                  spellCheck={false}
                  value={raw}
                  aria-invalid={errors["raw"] !== undefined}
                  onChange={(event) => setRawText(event.target.value)}
                />
              </Field>
            ) : (
              fields.map((field) => (
                <SchemaField
                  key={field.name}
                  field={field}
                  value={draft[field.name] ?? ""}
                  error={errors[field.name] ?? errors[`input.${field.name}`]}
                  onChange={(value) => setDraft({ ...draft, [field.name]: value })}
                />
              ))
            )}
          </div>
        </Section>
        <div className="flex min-w-0 flex-col gap-4">
          <Section title="What it is called">
            <div className="flex flex-col gap-4 p-4">
              <Field id="new-title" label="Title" hint="For people; may be empty.">
                <Input id="new-title" value={more.title} onChange={set("title")} />
              </Field>
              <Field
                id="new-key"
                label="Key"
                hint="Your own name for it: the same key is the same task."
                error={errors["key"]}
              >
                <Input id="new-key" value={more.key} onChange={set("key")} />
              </Field>
              <Field
                id="new-description"
                label="Description"
                hint="What it is about; may be empty."
                error={errors["description"]}
              >
                <Input id="new-description" value={more.description} onChange={set("description")} />
              </Field>
              <div className="grid grid-cols-2 gap-4">
                <Field id="new-queue" label="Queue" error={errors["queue"]}>
                  <Input
                    id="new-queue"
                    placeholder={view?.defaults?.queue ?? "default"}
                    value={more.queue}
                    onChange={set("queue")}
                  />
                </Field>
                <Field
                  id="new-priority"
                  label="Priority"
                  hint="Higher comes first."
                  error={errors["policy.priority"]}
                >
                  <Input
                    id="new-priority"
                    className="tnum"
                    inputMode="numeric"
                    placeholder={String(view?.defaults?.policy?.priority ?? 0)}
                    value={more.priority}
                    onChange={set("priority")}
                  />
                </Field>
              </div>
              <Field
                id="new-labels"
                label="Labels"
                hint="name:value, several with spaces between them."
                error={errors["labels"]}
              >
                <Input id="new-labels" value={more.labels} onChange={set("labels")} />
              </Field>
              <Button type="submit" look="primary" disabled={isBusy || kind === ""} className="self-start">
                <Play /> {isBusy ? "Starting…" : "Start"}
              </Button>
            </div>
          </Section>
          {shown.length > 0 && (
            <Section title="The same from elsewhere">
              <ul className="divide-y">
                {shown.map(({ name, text }) => (
                  <li key={name} className="flex items-center gap-2 px-4 py-1.5">
                    <span className="w-20 shrink-0 text-soft">{name}</span>
                    <code className="min-w-0 flex-1 truncate font-mono text-[12px] text-soft">{text}</code>
                    <CopyButton text={text} label={`Copy as ${name}`} />
                  </li>
                ))}
              </ul>
            </Section>
          )}
        </div>
      </form>
    </PageFrame>
  );
}

/** The members of an object; none of anything else. */
function members(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function textOf(value: unknown): string {
  return value === undefined || value === null ? "" : JSON.stringify(value, null, 2);
}

function SchemaField({
  field,
  value,
  error,
  onChange,
}: {
  field: FormField;
  value: string | boolean;
  error: string | undefined;
  onChange: (value: string | boolean) => void;
}) {
  const id = `field-${field.name}`;
  const { schema, control } = field;
  if (control === "flag") {
    return (
      <div>
        <label className="flex items-center gap-2 font-medium">
          <input
            id={id}
            type="checkbox"
            className="size-4 accent-accent"
            checked={value === true}
            onChange={(event) => onChange(event.target.checked)}
          />
          {field.label}
        </label>
        {schema.description && <p className="text-[12.5px] text-faint">{schema.description}</p>}
      </div>
    );
  }
  const shared = {
    id,
    value: String(value),
    "aria-required": field.isRequired,
    "aria-invalid": error !== undefined,
    "aria-describedby": error ? `${id}-error` : `${id}-hint`,
  };
  return (
    <Field
      id={id}
      label={`${field.label}${field.isRequired ? "" : " (may be empty)"}`}
      hint={schema.description}
      error={error}
    >
      {control === "choice" ? (
        <Select {...shared} onChange={(event) => onChange(event.target.value)}>
          <option value="" />
          {schema.enum?.map((one) => (
            <option key={String(one)}>{String(one)}</option>
          ))}
        </Select>
      ) : control === "json" ? (
        <Textarea
          {...shared}
          className="min-h-16"
          spellCheck={false}
          onChange={(event) => onChange(event.target.value)}
        />
      ) : (
        <Input
          {...shared}
          inputMode={control === "text" ? "text" : "decimal"}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}
