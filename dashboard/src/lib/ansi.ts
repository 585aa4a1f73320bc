/** A piece of terminal output that looks one way. */
export interface Piece {
  text: string;
  /** 0–15 as terminals number them. */
  colour?: number;
  bold?: boolean;
  dim?: boolean;
  underline?: boolean;
}

const ESCAPE = /\x1b(?:\[([0-9;:?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])/g;

type Look = Omit<Piece, "text">;

/** Output as a terminal shows it: colours and weights as pieces, other control sequences left out, `\r` overwriting the line. */
export function pieces(output: string, look: Look = {}): { pieces: Piece[]; look: Look } {
  const out: Piece[] = [];
  const put = (text: string) => {
    const clean = overwrite(text);
    if (clean) out.push({ text: clean, ...look });
  };
  let last = 0;
  for (const match of output.matchAll(ESCAPE)) {
    put(output.slice(last, match.index));
    last = match.index + match[0].length;
    if (match[2] === "m") look = style(look, match[1] ?? "");
  }
  put(output.slice(last));
  return { pieces: out, look };
}

function style(look: Look, codes: string): Look {
  let next: Look = { ...look };
  const numbers = codes === "" ? [0] : codes.split(/[;:]/).map(Number);
  for (let i = 0; i < numbers.length; i += 1) {
    const n = numbers[i] ?? 0;
    if (n === 0) next = {};
    else if (n === 1) next.bold = true;
    else if (n === 2) next.dim = true;
    else if (n === 4) next.underline = true;
    else if (n === 22) {
      delete next.bold;
      delete next.dim;
    } else if (n === 24) delete next.underline;
    else if (n >= 30 && n <= 37) next.colour = n - 30;
    else if (n >= 90 && n <= 97) next.colour = n - 82;
    else if (n === 39) delete next.colour;
    else if (n === 38 || n === 48) {
      // 256 colours: the first 16 are the ones that we have. Others are shown in the plain colour.
      const colour = numbers[i + 1] === 5 ? numbers[i + 2] : undefined;
      if (n === 38 && colour !== undefined && colour < 16) next.colour = colour;
      i += numbers[i + 1] === 5 ? 2 : 4;
    }
  }
  return next;
}

/** What is left of each line after `\r` brought the cursor back to its beginning. */
function overwrite(text: string): string {
  if (!text.includes("\r")) return text;
  return text
    .replaceAll("\r\n", "\n")
    .split("\n")
    .map((line) => line.slice(line.lastIndexOf("\r") + 1))
    .join("\n");
}
