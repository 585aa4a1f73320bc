import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { CircleCheck, CircleHelp, CircleX, Download, ShieldCheck } from "lucide-react";
import { useState } from "react";
import { text } from "@/api/http";
import { exportText, isOver, receiptQuery } from "@/api/queries";
import type { TaskView } from "@/api/types";
import { cn } from "@/lib/cn";
import { count, plural } from "@/lib/format";
import { verifyExport, type PublicKey, type Verified } from "@/lib/verify";
import { Button } from "@/parts/button";
import { CopyButton } from "@/parts/copy";
import { Field, Textarea } from "@/parts/form";
import { Empty, Failure, Skeleton } from "@/parts/page";
import { At } from "@/parts/time";
import { failed } from "@/parts/toast";
import { download } from "./download";

interface Checked extends Verified {
  /** Whether the key was given by whoever looks, and not by the server. */
  isPasted: boolean;
}

/** The keys of a JWKS, or of one JWK. */
export function keysOf(given: string): PublicKey[] {
  const read = JSON.parse(given) as { keys?: PublicKey[] } & PublicKey;
  const keys = read.keys ?? [read];
  if (keys.length === 0 || keys.some((key) => key.kty !== "OKP" || typeof key.x !== "string")) {
    throw new Error("This is no JWKS with Ed25519 keys.");
  }
  return keys.map(({ kty, crv, x }) => ({ kty, crv, x }));
}

/** The receipt of a task, checked in the browser: nothing is asked but the export, and the server's key where none is given. */
export default function Receipt({ task }: { task: TaskView }) {
  const isDone = isOver(task.state);
  const receipt = useQuery({ ...receiptQuery(task.id), enabled: isDone });
  const navigate = useNavigate({ from: "/tasks/$id" });
  const [key, setKey] = useState("");
  const [own, setOwn] = useState("");
  const [checked, setChecked] = useState<Checked | undefined>();
  const [isBusy, setBusy] = useState(false);
  if (!isDone) {
    return (
      <Empty title="There is no receipt yet" icon={<ShieldCheck />}>
        When the task ends, the server signs what its history came to. Anybody can check it, here or offline
        with <code className="font-mono text-[12.5px] text-ink">everloop verify</code>.
      </Empty>
    );
  }
  if (receipt.isPending) return <Skeleton />;
  if (!receipt.data) return <Failure error={receipt.error} retry={() => void receipt.refetch()} />;
  const check = async () => {
    setBusy(true);
    try {
      if (!("subtle" in crypto)) {
        throw new Error(
          "Browsers check signatures on pages of this machine or over TLS only. Use everloop verify.",
        );
      }
      const keys = keysOf(key.trim() || (await text("/.well-known/jwks.json")));
      const history = own.trim() || (await exportText(task.id));
      setChecked({ ...(await verifyExport(history, keys)), isPasted: key.trim() !== "" });
    } catch (error) {
      failed(error);
    } finally {
      setBusy(false);
    }
  };
  const { claims } = receipt.data;
  const facts: [string, React.ReactNode][] = [
    ["State", claims.state],
    ["Events", `${claims.first_seq} to ${count(claims.last_seq)}`],
    ["Ended", <At key="at" at={claims.finished_at} whole />],
    [
      "Root of the chain",
      <code key="root" className="font-mono text-[12.5px] break-all">
        {claims.chain_root}
      </code>,
    ],
    [
      "Digest of the result",
      <code key="result" className="font-mono text-[12.5px] break-all">
        {claims.result_hash}
      </code>,
    ],
  ];
  return (
    <div className="grid gap-5 p-4 lg:grid-cols-2">
      <div className="flex min-w-0 flex-col gap-4">
        <div className="flex flex-wrap gap-2">
          <Button look="primary" disabled={isBusy} onClick={() => void check()}>
            <ShieldCheck /> {isBusy ? "Checking…" : "Check the history"}
          </Button>
          <Button
            onClick={() =>
              void exportText(task.id).then(
                (whole) => download(`${task.id}.jsonl`, "application/x-ndjson", whole),
                (error: unknown) => failed(error),
              )
            }
          >
            <Download /> Download the export
          </Button>
        </div>
        {checked && (
          <Verdict checked={checked} show={(seq) => void navigate({ search: { tab: "events", seq } })} />
        )}
        <Field
          id="trusted-key"
          label="A key that you trust"
          hint="A JWKS from somewhere else than this server. Without one the server vouches for itself."
        >
          <Textarea
            id="trusted-key"
            className="min-h-16"
            placeholder='{"keys":[{"kty":"OKP","crv":"Ed25519","x":"…"}]}'
            value={key}
            onChange={(event) => setKey(event.target.value)}
          />
        </Field>
        <Field
          id="own-export"
          label="A copy of the export"
          hint="Checked in place of what the server has: paste one that you kept."
        >
          <Textarea
            id="own-export"
            className="min-h-16"
            value={own}
            onChange={(event) => setOwn(event.target.value)}
          />
        </Field>
      </div>
      <div className="min-w-0">
        <dl className="grid grid-cols-[9rem_1fr] gap-x-4 gap-y-2">
          {facts.map(([name, value]) => (
            <div key={name} className="contents">
              <dt className="text-faint">{name}</dt>
              <dd className="tnum min-w-0">{value}</dd>
            </div>
          ))}
        </dl>
        <div className="mt-4 flex items-start gap-2 rounded-md bg-sunken p-3">
          <code aria-label="Receipt" className="min-w-0 flex-1 font-mono text-[12px] break-all text-soft">
            {receipt.data.receipt}
          </code>
          <CopyButton text={receipt.data.receipt} label="Copy the receipt" />
        </div>
      </div>
    </div>
  );
}

function Verdict({ checked, show }: { checked: Checked; show: (seq: number) => void }) {
  const isGood = checked.verdict === "verified";
  const isBroken = checked.verdict === "broken";
  const Icon = isGood ? CircleCheck : isBroken ? CircleX : CircleHelp;
  const title = {
    verified: checked.isPasted ? "Signed by a key that you trust" : "Signed by this server",
    signer_unknown: "It fits together, and none of the keys has signed it",
    unsigned: "It fits together, and is not signed",
    broken: "The history was altered",
  }[checked.verdict];
  return (
    <div
      role="status"
      data-testid="verdict"
      data-verdict={checked.verdict}
      className={cn(
        "flex gap-3 rounded-md p-3",
        isGood ? "bg-good-soft" : isBroken ? "bg-bad-soft" : "bg-warn-soft",
      )}
    >
      <Icon
        aria-hidden
        className={cn("mt-0.5 size-5 shrink-0", isGood ? "text-good" : isBroken ? "text-bad" : "text-warn")}
      />
      <div className="min-w-0">
        <p className="font-medium">{title}</p>
        <p className="text-soft wrap-anywhere">
          {checked.reason
            ? `${checked.reason}. `
            : `Every hash of ${plural(checked.events, "event")} fits${checked.gone > 0 ? `; the data of ${count(checked.gone)} is gone` : ""}. `}
          {isGood && !checked.isPasted && "Paste a key that you trust, and this server's word is not needed."}
        </p>
        {checked.brokenAt !== undefined && (
          <Button size="small" className="mt-2" onClick={() => show(checked.brokenAt ?? 1)}>
            Show event {checked.brokenAt}
          </Button>
        )}
      </div>
    </div>
  );
}
