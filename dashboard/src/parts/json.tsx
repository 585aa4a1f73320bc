import { CopyButton } from "./copy";

const TOKEN = /("(?:\\.|[^"\\])*"(?:\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;
/** What is longer is shown without colours, and cut. */
const COLOURED = 200_000;

function look(token: string): string {
  if (token.endsWith(":")) return "text-accent-text";
  if (token.startsWith('"')) return "text-good";
  return "text-warn";
}

/** A value as JSON, with its members in colours. */
export function Json({ value, label }: { value: unknown; label: string }) {
  const text = JSON.stringify(value, null, 2);
  const isLong = text.length > COLOURED;
  const parts = isLong ? [text.slice(0, COLOURED)] : text.split(TOKEN);
  return (
    <div className="group relative">
      <div className="absolute top-1 right-1 rounded-md bg-card">
        <CopyButton text={text} label={`Copy ${label}`} />
      </div>
      <pre
        tabIndex={0}
        aria-label={label}
        className="max-h-112 overflow-auto p-4 pr-12 font-mono text-[12.5px] leading-5 whitespace-pre-wrap wrap-anywhere"
      >
        {isLong
          ? parts[0]
          : parts.map((part, i) =>
              i % 2 === 1 ? (
                <span key={i} className={look(part)}>
                  {part}
                </span>
              ) : (
                part
              ),
            )}
      </pre>
      {isLong && (
        <p className="border-t px-4 py-2 text-soft">Only the beginning is shown; copy has all of it.</p>
      )}
    </div>
  );
}
