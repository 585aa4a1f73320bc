import { Check, Copy } from "lucide-react";
import { useState } from "react";
import { Button } from "./button";
import { failed } from "./toast";

/** Puts text on the clipboard. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    failed(new Error("The browser did not allow to copy. Select the text and copy it by hand."));
    return false;
  }
}

/** Copies a text. */
export function CopyButton({ text, label }: { text: string | (() => string); label: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    if (!(await copyText(typeof text === "string" ? text : text()))) return;
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <Button look="quiet" size="iconSmall" aria-label={label} title={label} onClick={copy}>
      {done ? <Check className="text-good" /> : <Copy />}
    </Button>
  );
}
