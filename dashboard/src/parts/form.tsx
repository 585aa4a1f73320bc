import type { InputHTMLAttributes, ReactNode, SelectHTMLAttributes, TextareaHTMLAttributes } from "react";
import { cn } from "@/lib/cn";

const box =
  "w-full rounded-md border border-line-strong bg-card px-2.5 text-ink placeholder:text-faint aria-invalid:border-bad";

/** A line of text. */
export function Input({ className, ...rest }: InputHTMLAttributes<HTMLInputElement>) {
  return <input className={cn(box, "h-8", className)} {...rest} />;
}

/** Several lines. */
export function Textarea({ className, ...rest }: TextareaHTMLAttributes<HTMLTextAreaElement>) {
  return <textarea className={cn(box, "min-h-24 py-1.5 font-mono text-[12.5px]", className)} {...rest} />;
}

/** A choice. The browser's own: it works with every finger and reader. */
export function Select({ className, ...rest }: SelectHTMLAttributes<HTMLSelectElement>) {
  return <select className={cn(box, "h-8 pr-7", className)} {...rest} />;
}

/** A field with its name, what it is about, and what is wrong with it. */
export function Field({
  label,
  hint,
  error,
  id,
  children,
}: {
  label: string;
  hint?: ReactNode;
  error?: string | undefined;
  id: string;
  children: ReactNode;
}) {
  return (
    <div className="flex flex-col gap-1">
      <label htmlFor={id} className="font-medium">
        {label}
      </label>
      {children}
      {hint && !error && (
        <p id={`${id}-hint`} className="text-[12.5px] text-faint">
          {hint}
        </p>
      )}
      {error && (
        <p id={`${id}-error`} role="alert" className="text-[12.5px] text-bad">
          {error}
        </p>
      )}
    </div>
  );
}
