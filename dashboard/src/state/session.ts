import { create } from "zustand";

const KEY = "everloop.key";

interface Session {
  /** The API key, for as long as this tab lives. */
  key: string | undefined;
  /** Whether the server wants a key, or another one. */
  needsKey: boolean;
  signIn: (key: string) => void;
  signOut: () => void;
  refused: () => void;
}

/** Who asks. A key is kept in sessionStorage only: it goes with the tab. */
export const useSession = create<Session>()((set) => ({
  key: sessionStorage.getItem(KEY) ?? undefined,
  needsKey: false,
  signIn: (key) => {
    sessionStorage.setItem(KEY, key);
    set({ key, needsKey: false });
  },
  signOut: () => {
    sessionStorage.removeItem(KEY);
    set({ key: undefined, needsKey: false });
  },
  refused: () => set({ needsKey: true }),
}));
