import { cva, type VariantProps } from "class-variance-authority";
import type { ButtonHTMLAttributes, Ref } from "react";
import { cn } from "@/lib/cn";

const button = cva(
  "inline-flex shrink-0 items-center justify-center gap-1.5 rounded-md font-medium whitespace-nowrap transition-colors disabled:opacity-50 aria-disabled:opacity-50 [&_svg]:size-4 [&_svg]:shrink-0",
  {
    variants: {
      look: {
        primary: "bg-accent text-accent-ink hover:brightness-110",
        plain: "border border-line bg-card text-ink hover:bg-sunken",
        quiet: "text-soft hover:bg-sunken hover:text-ink",
        danger: "border border-line bg-card text-bad hover:bg-bad-soft",
      },
      size: { normal: "h-8 px-3", small: "h-7 px-2 text-[12.5px]", icon: "size-8", iconSmall: "size-7" },
    },
    defaultVariants: { look: "plain", size: "normal" },
  },
);

/** A button. */
export function Button({
  look,
  size,
  className,
  ref,
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & VariantProps<typeof button> & { ref?: Ref<HTMLButtonElement> }) {
  return <button ref={ref} type="button" className={cn(button({ look, size }), className)} {...rest} />;
}

/** What a link needs to look like a button. */
export const buttonLook = button;
