// A task that starts others and gathers what they give.
import { run, startChild, step, task } from "everloop";
import { effect } from "./effect.js";

const chapter = task("chapter", async (title: string) => {
  const words = await step.run("write", async () => {
    await effect(`write ${title}`);
    return title.length * 100;
  });
  return { title, words };
});

const book = task("book", async (titles: string[]) => {
  const children = [];
  for (const title of titles) children.push(await startChild(chapter, [title]));
  const chapters = await Promise.all(children.map((child) => child.result()));
  return await step.run("bind", async () => {
    await effect("bind");
    return chapters.reduce((words, one) => words + one.words, 0);
  });
});

console.log(await run(book, [["Log", "Lease", "Step", "Replay", "End"]], { key: "book-1" }));
