import { useQuery } from "@tanstack/react-query";
import { InboxIcon } from "lucide-react";
import { useEffect, useRef } from "react";
import { inboxQuery, totalOf } from "@/api/queries";
import { plural } from "@/lib/format";
import { Empty, Failure, PageFrame, Skeleton } from "@/parts/page";
import { isWriting } from "@/shell/shortcuts";
import { Answer } from "./task/answers";

/** Everything that waits for a person. */
export function InboxPage() {
  const inbox = useQuery(inboxQuery);
  const list = useRef<HTMLUListElement>(null);
  const items = inbox.data?.items ?? [];
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (
        isWriting(event.target) ||
        event.ctrlKey ||
        event.metaKey ||
        (event.key !== "j" && event.key !== "k")
      )
        return;
      const all = [...(list.current?.querySelectorAll<HTMLElement>("[data-row-link]") ?? [])];
      const at = all.findIndex((one) => one.closest("li")?.contains(document.activeElement));
      all[Math.min(Math.max(at + (event.key === "j" ? 1 : -1), 0), all.length - 1)]?.focus();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
  return (
    <PageFrame
      title="Inbox"
      about={
        items.length > 0
          ? `${plural(totalOf(inbox.data), "question")} for a person, the oldest first`
          : undefined
      }
    >
      <section aria-label="Questions" className="card overflow-hidden">
        {inbox.isPending ? (
          <Skeleton />
        ) : !inbox.data ? (
          <Failure error={inbox.error} retry={() => void inbox.refetch()} />
        ) : items.length === 0 ? (
          <Empty title="Nobody waits for you" icon={<InboxIcon />}>
            When a task asks for a decision or an input, when a step was cut off and nobody knows whether it
            happened, or when code no longer does what was recorded, the question is here.
          </Empty>
        ) : (
          <ul ref={list} className="divide-y">
            {items.map((item) => (
              <li key={`${item.task} ${item.id}`}>
                <Answer item={item} showTask />
              </li>
            ))}
          </ul>
        )}
      </section>
    </PageFrame>
  );
}
