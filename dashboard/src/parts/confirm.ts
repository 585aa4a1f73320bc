import { create } from "zustand";

interface Question {
  title: string;
  about: string;
  /** What the button says that does it. */
  act: string;
  danger?: boolean;
}

interface Asking {
  question: Question | undefined;
  answer: (yes: boolean) => void;
}

/** The question that is open. */
export const useAsking = create<Asking>()(() => ({ question: undefined, answer: () => undefined }));

/** Asks before something is done that can't be taken back. */
export function confirm(question: Question): Promise<boolean> {
  return new Promise((resolve) => {
    const answer = (yes: boolean) => {
      useAsking.setState({ question: undefined });
      resolve(yes);
    };
    useAsking.setState({ question, answer });
  });
}
