import { useQuery } from "@tanstack/react-query";
import { CircleAlert, CircleCheck, TriangleAlert } from "lucide-react";
import { useLive } from "@/api/live";
import { healthQuery, queuesQuery, statsQuery } from "@/api/queries";
import { checks, type Check } from "@/lib/checks";
import { cn } from "@/lib/cn";
import { bytes, count } from "@/lib/format";
import { CopyButton } from "@/parts/copy";
import { Failure, PageFrame, Section, Skeleton } from "@/parts/page";
import { At, Took } from "@/parts/time";

/** How the server is. */
export function HealthPage() {
  const health = useQuery(healthQuery);
  const stats = useQuery({ ...statsQuery, refetchInterval: 5000 }).data;
  const queues = useQuery(queuesQuery).data?.items;
  const about = useLive((state) => state.about);
  return (
    <PageFrame title="Health" about="What works, what does not, and how this server was started.">
      <Section title="Checks">
        {health.isPending ? (
          <Skeleton rows={4} />
        ) : health.isError ? (
          <Failure error={health.error} retry={() => void health.refetch()} />
        ) : (
          <ul className="divide-y" aria-live="polite">
            {checks(health.data, stats, queues).map((check) => (
              <CheckLine key={check.name} check={check} />
            ))}
          </ul>
        )}
        <p className="flex flex-wrap items-center gap-x-1 border-t px-4 py-2 text-[12.5px] text-soft">
          Who may read the files of the data folder, and whether a server was killed there, only a terminal
          can say:
          <span className="flex items-center">
            <code className="font-mono text-[12.5px] text-ink">everloop doctor</code>
            <CopyButton text="everloop doctor" label="Copy the command" />
          </span>
        </p>
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
            <dl className="grid grid-cols-[1fr_auto] gap-y-2 p-4 text-right [&_dt]:text-left">
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

const LOOKS = {
  good: { icon: CircleCheck, tone: "text-good" },
  warn: { icon: TriangleAlert, tone: "text-warn" },
  bad: { icon: CircleAlert, tone: "text-bad" },
};

function CheckLine({ check }: { check: Check }) {
  const { icon: Icon, tone } = LOOKS[check.is];
  return (
    <li className="flex items-start gap-3 px-4 py-3" data-check={check.name} data-is={check.is}>
      <Icon aria-hidden className={cn("mt-0.5 size-5 shrink-0", tone)} />
      <div className="min-w-0 flex-1">
        <p className="font-medium capitalize">{check.name}</p>
        <p className="text-soft wrap-anywhere">{check.remedy ?? check.about}</p>
      </div>
      <span className={cn("max-w-[50%] text-right wrap-anywhere", tone)}>{check.found}</span>
    </li>
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
