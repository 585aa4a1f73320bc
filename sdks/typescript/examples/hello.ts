// Fetches pages, each once: kill it at any point and start it again.
import { map, run, step, task } from "everloop";
import { effect } from "./effect.js";

const fetchText = step("fetch", { retries: 3 }, async (url: string) => {
  await effect(url);
  return (await fetch(url)).text();
});

const digest = task("digest", async (urls: string[]) => {
  const texts = await map(urls, (url) => fetchText(url));
  return Object.fromEntries(urls.map((url, i) => [url, texts[i]?.length]));
});

const urls = process.argv.slice(2);
console.log(await run(digest, [urls.length > 0 ? urls : ["https://example.org"]], { key: "digest-1" }));
