/** One block of a stream. */
export interface Block {
  id?: string;
  event?: string;
  data?: string;
}

/** Cuts a stream of text into blocks, wherever it was cut before. */
export class Blocks {
  #rest = "";

  /** The blocks that are whole with this text. */
  push(text: string): Block[] {
    const parts = (this.#rest + text).split("\n\n");
    this.#rest = parts.pop() ?? "";
    return parts.map(read);
  }
}

function read(text: string): Block {
  const block: Block = {};
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const value = line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    const name = line.slice(0, colon);
    if (name === "id") block.id = value;
    else if (name === "event") block.event = value;
    else if (name === "data") block.data = block.data === undefined ? value : `${block.data}\n${value}`;
  }
  return block;
}
