import { X } from "lucide-react";
import { Dialog as Radix } from "radix-ui";
import type { ReactNode } from "react";
import { cn } from "@/lib/cn";
import { Button } from "./button";

interface DialogProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: string;
  /** Said to screen readers, and shown below the title. */
  about?: ReactNode;
  children?: ReactNode;
  className?: string;
  /** Whether the title is only said. */
  bare?: boolean;
}

/** A dialog in the middle of the page. Radix's own overlay writes a style sheet into the page, which our policy forbids. */
export function Dialog({ open, onOpenChange, title, about, children, className, bare = false }: DialogProps) {
  return (
    <Radix.Root open={open} onOpenChange={onOpenChange}>
      <Radix.Portal>
        <div className="fixed inset-0 z-40 bg-black/40" aria-hidden />
        <Radix.Content
          className={cn(
            "card rise fixed top-[12vh] left-1/2 z-50 flex max-h-[76vh] w-[min(34rem,calc(100vw-1.5rem))] -translate-x-1/2 flex-col overflow-hidden shadow-2xl outline-none",
            className,
          )}
          {...(about === undefined ? { "aria-describedby": undefined } : {})}
        >
          <header className={cn("flex items-start gap-3 px-5 pt-4 pb-1", bare && "sr-only")}>
            <div className="min-w-0 flex-1">
              <Radix.Title className="text-[15px] font-semibold">{title}</Radix.Title>
              {about !== undefined && (
                <Radix.Description className="mt-1 text-soft">{about}</Radix.Description>
              )}
            </div>
            <Radix.Close asChild>
              <Button look="quiet" size="iconSmall" aria-label="Close">
                <X />
              </Button>
            </Radix.Close>
          </header>
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

/** The body of a dialog. */
export function DialogBody({ children, className }: { children: ReactNode; className?: string }) {
  return <div className={cn("min-h-0 overflow-y-auto px-5 py-3", className)}>{children}</div>;
}

/** The buttons of a dialog. */
export function DialogActions({ children }: { children: ReactNode }) {
  return <footer className="flex justify-end gap-2 border-t px-5 py-3">{children}</footer>;
}
