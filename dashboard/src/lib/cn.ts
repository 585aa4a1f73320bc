import { clsx, type ClassValue } from "clsx";
import { twMerge } from "tailwind-merge";

/** Class names put together; of two that say the same thing the later one counts. */
export function cn(...names: ClassValue[]): string {
  return twMerge(clsx(names));
}
