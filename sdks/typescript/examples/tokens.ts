// Shows a model's answer while it comes. Tokens are for those who look on; the whole answer is what is recorded.
import { setTimeout as pass } from "node:timers/promises";
import { run, step, task, token } from "everloop";
import { effect } from "./effect.js";

async function* model(question: string) {
  for (const word of `You asked: ${question} Everything that matters is kept.`.split(/(?<= )/)) {
    await pass(5);
    yield word;
  }
}

const answer = task("answer", async (questions: string[]) => {
  const answers: string[] = [];
  for (const question of questions) {
    const whole = await step.run("model", async () => {
      await effect(question);
      let text = "";
      for await (const word of model(question)) {
        token(word);
        text += word;
      }
      return text;
    });
    answers.push(whole);
  }
  return answers;
});

const questions = ["What is lost?", "What is done twice?", "Who looks on?"];
const answers = await run(answer, [questions], {
  key: "answer-1",
  onItem: (item) => {
    if (item.is === "frame" && item.type === "token") process.stderr.write(String(item.data));
  },
});
console.log(answers);
