import { useEffect, type ReactNode } from "react";
import { Inbox as InboxIcon, RotateCw, TriangleAlert } from "lucide-react";
import { ApiError, Unreachable } from "@/api/http";
import { cn } from "@/lib/cn";
import { Button } from "./button";

/** A page with its heading. It names the document, too. */
export function PageFrame({
  title,
  about,
  actions,
  children,
  wide = false,
}: {
  title: string;
  about?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  wide?: boolean;
}) {
  useTitle(title);
  return (
    <div
      className={cn("mx-auto flex w-full flex-col gap-4 p-4 md:p-6", wide ? "max-w-[110rem]" : "max-w-6xl")}
    >
      <header className="flex flex-wrap items-start gap-x-4 gap-y-2">
        <div className="min-w-0 flex-1">
          <h1 className="text-[19px] leading-7 tracking-tight">{title}</h1>
          {about && <p className="mt-0.5 text-soft">{about}</p>}
        </div>
        {actions && <div className="flex flex-wrap gap-2">{actions}</div>}
      </header>
      {children}
    </div>
  );
}

/** Names the document. What waits for a person is put before it by the shell. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.documentElement.dataset.title = title;
    window.dispatchEvent(new Event("everloop:title"));
  }, [title]);
}

/** A part of a page. */
export function Section({
  title,
  side,
  children,
  className,
}: {
  title: string;
  side?: ReactNode;
  children: ReactNode;
  className?: string;
}) {
  return (
    <section className={cn("card min-w-0 overflow-hidden", className)}>
      <header className="flex min-h-11 items-center gap-3 border-b px-4 py-1.5">
        <h2 className="flex-1 text-[13px] font-semibold">{title}</h2>
        {side}
      </header>
      {children}
    </section>
  );
}

/** Lines where something will be. */
export function Skeleton({ rows = 6, className }: { rows?: number; className?: string }) {
  return (
    <div role="status" aria-label="Loading" className={cn("flex flex-col gap-3 p-4", className)}>
      {Array.from({ length: rows }, (_, i) => (
        <div
          key={i}
          className="breathe h-4 rounded bg-sunken"
          style={{ width: `${92 - ((i * 17) % 40)}%` }}
        />
      ))}
    </div>
  );
}

/** Nothing is here, and what to do about it. */
export function Empty({ title, children, icon }: { title: string; children?: ReactNode; icon?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-2 px-6 py-12 text-center">
      <span aria-hidden className="rounded-full bg-sunken p-3 text-faint [&_svg]:size-5">
        {icon ?? <InboxIcon />}
      </span>
      <p className="font-medium">{title}</p>
      {children && <div className="max-w-md text-soft">{children}</div>}
    </div>
  );
}

/** Why something could not be shown, what to do, and a way to try again. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const problem = error instanceof ApiError ? error.problem : undefined;
  const hint =
    problem?.hint ??
    (error instanceof Unreachable
      ? "This page comes back by itself once the server answers again."
      : undefined);
  return (
    <div role="alert" className="flex flex-col items-center gap-2 px-6 py-10 text-center">
      <span aria-hidden className="rounded-full bg-bad-soft p-3 text-bad [&_svg]:size-5">
        <TriangleAlert />
      </span>
      <p className="font-medium">{problem?.title ?? "This could not be shown"}</p>
      <p className="max-w-lg text-soft wrap-anywhere">
        {error instanceof Error ? error.message : String(error)} {hint}
      </p>
      {problem && (
        <p className="font-mono text-[12px] text-faint">
          {problem.code} · {problem.request_id}
        </p>
      )}
      {retry && (
        <Button className="mt-2" onClick={retry}>
          <RotateCw /> Try again
        </Button>
      )}
    </div>
  );
}
