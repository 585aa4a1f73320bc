import { CircleAlert, CircleCheck, X } from "lucide-react";
import { create } from "zustand";
import { ApiError } from "@/api/http";
import { Button } from "./button";

interface Toast {
  id: number;
  text: string;
  hint?: string | undefined;
  bad: boolean;
}

const useToasts = create<{ toasts: Toast[]; next: number }>()(() => ({ toasts: [], next: 1 }));

function show(toast: Omit<Toast, "id">): void {
  const { next: id, toasts } = useToasts.getState();
  useToasts.setState({ toasts: [...toasts.slice(-3), { ...toast, id }], next: id + 1 });
  setTimeout(() => dismiss(id), toast.bad ? 9000 : 4000);
}

function dismiss(id: number): void {
  useToasts.setState(({ toasts }) => ({ toasts: toasts.filter((toast) => toast.id !== id) }));
}

/** Says that something was done. */
export function said(text: string): void {
  show({ text, bad: false });
}

/** Says that something was not done, why, and what to do. */
export function failed(error: unknown): void {
  const hint = error instanceof ApiError ? (error.problem.hint ?? undefined) : undefined;
  show({ text: error instanceof Error ? error.message : String(error), hint, bad: true });
}

/** Where toasts are shown. */
export function Toasts() {
  const toasts = useToasts((state) => state.toasts);
  return (
    <div
      role="status"
      aria-live="polite"
      className="pointer-events-none fixed right-4 bottom-4 z-60 flex w-[min(24rem,calc(100vw-2rem))] flex-col gap-2"
    >
      {toasts.map((toast) => (
        <div key={toast.id} className="card rise pointer-events-auto flex items-start gap-2.5 p-3 shadow-lg">
          {toast.bad ? (
            <CircleAlert className="mt-0.5 size-4 shrink-0 text-bad" />
          ) : (
            <CircleCheck className="mt-0.5 size-4 shrink-0 text-good" />
          )}
          <div className="min-w-0 flex-1 wrap-anywhere">
            <p>{toast.text}</p>
            {toast.hint && <p className="text-soft">{toast.hint}</p>}
          </div>
          <Button look="quiet" size="iconSmall" aria-label="Dismiss" onClick={() => dismiss(toast.id)}>
            <X />
          </Button>
        </div>
      ))}
    </div>
  );
}
