import { Link } from "@tanstack/react-router";
import { Compass } from "lucide-react";
import { buttonLook } from "@/parts/button";
import { Empty, PageFrame } from "@/parts/page";

/** An address that nothing is at. */
export function NotFound() {
  return (
    <PageFrame title="Nothing is here">
      <Empty title="This address belongs to no page" icon={<Compass />}>
        <p className="mb-4">It may have been cut short when it was copied.</p>
        <Link to="/tasks" className={buttonLook({ look: "plain" })}>
          See all tasks
        </Link>
      </Empty>
    </PageFrame>
  );
}
