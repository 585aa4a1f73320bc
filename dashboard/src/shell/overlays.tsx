import { KeyRound } from "lucide-react";
import { useState } from "react";
import { Button } from "@/parts/button";
import { Confirmations } from "@/parts/confirmations";
import { Dialog, DialogActions, DialogBody } from "@/parts/dialog";
import { Field, Input } from "@/parts/form";
import { useSession } from "@/state/session";
import { Palette } from "./palette";
import { SHORTCUTS, useShell } from "./shortcuts";

/** Everything that opens over the page. */
export default function Overlays() {
  return (
    <>
      <Palette />
      <Shortcuts />
      <Confirmations />
      <KeyGate />
    </>
  );
}

function Shortcuts() {
  const { overlay, close } = useShell();
  return (
    <Dialog
      open={overlay === "shortcuts"}
      onOpenChange={(open) => !open && close()}
      title="Shortcuts"
      className="w-[min(44rem,calc(100vw-1.5rem))]"
    >
      <DialogBody className="grid gap-x-10 gap-y-5 pb-5 sm:grid-cols-2">
        {SHORTCUTS.map((group) => (
          <section
            key={group.name}
            className={group.name === "Pages" ? "sm:col-start-2 sm:row-span-2 sm:row-start-1" : ""}
          >
            <h3 className="pb-1.5 text-[12.5px] text-faint">{group.name}</h3>
            <dl className="flex flex-col gap-1.5">
              {group.keys.map(([keys, what]) => (
                <div key={keys} className="flex items-baseline gap-3">
                  <dt className="w-16 shrink-0">
                    <kbd className="rounded border border-line-strong bg-sunken px-1.5 py-0.5 font-sans text-[12px]">
                      {keys}
                    </kbd>
                  </dt>
                  <dd className="text-soft">{what}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </DialogBody>
    </Dialog>
  );
}

/** Asks for the API key where the server wants one. */
function KeyGate() {
  const { needsKey, key, signIn, signOut } = useSession();
  const [text, setText] = useState("");
  if (!needsKey) return null;
  return (
    <div className="fixed inset-0 z-40 grid place-items-center bg-page p-4">
      <form
        className="card w-full max-w-sm shadow-xl"
        aria-label="API key"
        onSubmit={(event) => {
          event.preventDefault();
          const given = text.trim();
          setText("");
          if (given) signIn(given);
        }}
      >
        <div className="flex flex-col gap-4 p-6">
          <span aria-hidden className="self-start rounded-full bg-accent-soft p-3 text-accent-text">
            <KeyRound className="size-5" />
          </span>
          <div>
            <h1 className="text-[17px]">This server asks for a key</h1>
            <p className="mt-1 text-soft">
              It lies in the file <code className="font-mono text-[12.5px]">api-key</code> of the server's
              data folder and begins with evl_. It is kept in this tab only, and goes with it.
            </p>
          </div>
          <Field id="api-key" label="API key" error={key ? "The server did not take this key." : undefined}>
            <Input
              id="api-key"
              type="password"
              autoComplete="off"
              autoFocus
              placeholder="evl_…"
              value={text}
              onChange={(event) => setText(event.target.value)}
            />
          </Field>
        </div>
        <DialogActions>
          {key && <Button onClick={signOut}>Without a key</Button>}
          <Button type="submit" look="primary" disabled={text.trim() === ""}>
            Go on
          </Button>
        </DialogActions>
      </form>
    </div>
  );
}
