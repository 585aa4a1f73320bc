/** Labels as a person writes them, each as `name:value`; or what is wrong with which of them. */
export function readLabels(
  text: string,
  between: RegExp,
): { labels: Record<string, string>; error?: string } {
  const labels: Record<string, string> = {};
  for (const pair of text.split(between).map((one) => one.trim())) {
    if (pair === "") continue;
    const [, name, value] = /^([^:=]+)[:=](.*)$/.exec(pair) ?? [];
    if (!name || value === undefined) return { labels, error: `${pair} is not of the form name:value.` };
    labels[name.trim()] = value.trim();
  }
  return { labels };
}

/** Labels as they are written, one on each line. */
export function showLabels(labels: Record<string, string>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}:${value}`)
    .join("\n");
}

/** A priority as it is written, or what is wrong with it. The server takes no others. */
export function readPriority(text: string): { priority: number } | { error: string } {
  const priority = Number(text.trim() || "0");
  if (Number.isInteger(priority) && Math.abs(priority) <= 100) return { priority };
  return { error: "A whole number from -100 to 100." };
}
