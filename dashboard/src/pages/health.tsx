import { useQuery } from "@tanstack/react-query";
import { CircleAlert, CircleCheck } from "lucide-react";
import { useLive } from "@/api/live";
import { healthQuery, statsQuery } from "@/api/queries";
import { bytes, count } from "@/lib/format";
import { CopyButton } from "@/parts/copy";
import { Failure, PageFrame, Section, Skeleton } from "@/parts/page";
import { At, Took } from "@/parts/time";

const ABOUT: Record<string, string> = {
  database: "Whether it can be read and written.",
  pipeline: "Whether what is asked is written down.",
  workers: "Whether somebody does the work.",
};

/** How the server is. */
export function HealthPage() {
  const health = useQuery(healthQuery);
  const stats = useQuery({ ...statsQuery, refetchInterval: 5000 }).data;
  const about = useLive((state) => state.about);
  return (
    <PageFrame
      title="Health"
      about="What `everloop doctor` looks at from a terminal, and how this server was started."
    >
      <Section title="Checks">
        {health.isPending ? (
          <Skeleton rows={3} />
        ) : health.isError ? (
          <Failure error={health.error} retry={() => void health.refetch()} />
        ) : (
          <ul className="divide-y">
            {Object.entries(health.data.checks).map(([name, word]) => (
              <li key={name} className="flex items-center gap-3 px-4 py-3">
                {word === "ok" ? (
                  <CircleCheck aria-hidden className="size-5 shrink-0 text-good" />
                ) : (
                  <CircleAlert aria-hidden className="size-5 shrink-0 text-bad" />
                )}
                <div className="min-w-0 flex-1">
                  <p className="font-medium">{name}</p>
                  <p className="text-soft">{ABOUT[name] ?? "A part of the server."}</p>
                </div>
                <span className={word === "ok" ? "text-good" : "text-bad wrap-anywhere"}>{word}</span>
              </li>
            ))}
          </ul>
        )}
      </Section>
      <div className="grid gap-4 md:grid-cols-2">
        <Section title="Server">
          {about ? (
            <dl className="grid grid-cols-[8rem_1fr] gap-y-2 p-4">
              <Row name="Version">{about.version}</Row>
              <Row name="Mode">{about.mode}</Row>
              <Row name="Database">{about.store}</Row>
              <Row name="Started">
                <At at={about.started_at} whole />
              </Row>
              <Row name="Up for">
                <Took from={about.started_at} />
              </Row>
              <Row name="Installation">
                <code className="font-mono text-[12.5px] break-all">{about.installation}</code>
              </Row>
              <Row name="Signing key">
                <span className="flex items-center">
                  <code className="font-mono text-[12.5px] break-all">{about.signing_key}</code>
                  <CopyButton text={about.signing_key} label="Copy the id of the signing key" />
                </span>
              </Row>
            </dl>
          ) : (
            <Skeleton rows={5} />
          )}
        </Section>
        <Section title="Since it was started">
          {stats ? (
            <dl className="grid grid-cols-[8rem_1fr] gap-y-2 p-4">
              <Row name="Events written">{count(stats.pipeline.events)}</Row>
              <Row name="Commits">{count(stats.pipeline.commits)}</Row>
              <Row name="Rows written">{count(stats.pipeline.rows)}</Row>
              <Row name="Commands waiting">{count(stats.pipeline.waiting)}</Row>
              <Row name="Followers">{count(stats.followers)}</Row>
              <Row name="Workers">{count(stats.workers)}</Row>
              <Row name="Tasks in all">{count(stats.total)}</Row>
              <Row name="Data in events">{bytes(stats.event_bytes)}</Row>
            </dl>
          ) : (
            <Skeleton rows={5} />
          )}
        </Section>
      </div>
    </PageFrame>
  );
}

function Row({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <>
      <dt className="text-faint">{name}</dt>
      <dd className="tnum min-w-0">{children}</dd>
    </>
  );
}
