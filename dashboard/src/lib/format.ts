const whole = new Intl.NumberFormat("en-US");

/** A count: `12,345`. */
export function count(n: number): string {
  return whole.format(n);
}

/** A size: `12.3 KiB`. */
export function bytes(n: number): string {
  if (n < 1024) return `${n} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let size = n / 1024;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} ${units[unit] ?? ""}`;
}

/** A rate per second: `0.4`, `12`, `1,204`. */
export function rate(n: number): string {
  return n > 0 && n < 10 ? n.toFixed(1) : count(Math.round(n));
}

/** A word for each count. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** The last characters of an id, which tell ids apart. */
export function shortId(id: string): string {
  return id.length > 14 ? `…${id.slice(-8)}` : id;
}
