import { LogOut } from "lucide-react";
import { useState, type ReactNode } from "react";
import { Button } from "@/parts/button";
import { Field, Input, Select } from "@/parts/form";
import { PageFrame, Section } from "@/parts/page";
import { At, useNow } from "@/parts/time";
import { usePreferences, type Density, type Theme } from "@/state/preferences";
import { useSession } from "@/state/session";

const ZONES = ["local", "UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];

/** What somebody chose for this browser. */
export function SettingsPage() {
  const { theme, density, zone, set } = usePreferences();
  const { key, signIn, signOut } = useSession();
  const now = useNow();
  return (
    <PageFrame title="Settings" about="They are kept in this browser.">
      <Section title="How it looks">
        <div className="flex flex-col gap-5 p-4">
          <Choice
            legend="Theme"
            value={theme}
            choices={[
              ["system", "As the system"],
              ["light", "Light"],
              ["dark", "Dark"],
            ]}
            onChange={(next) => set({ theme: next as Theme })}
          />
          <Choice
            legend="Density"
            value={density}
            choices={[
              ["comfortable", "Comfortable"],
              ["compact", "Compact"],
            ]}
            onChange={(next) => set({ density: next as Density })}
          />
          <div className="max-w-xs">
            <Field
              id="zone"
              label="Time zone"
              hint={
                <>
                  It is <At at={new Date(now).toISOString()} whole /> there.
                </>
              }
            >
              <Select id="zone" value={zone} onChange={(event) => set({ zone: event.target.value })}>
                {ZONES.map((one) => (
                  <option key={one} value={one}>
                    {one === "local"
                      ? `This browser's (${Intl.DateTimeFormat().resolvedOptions().timeZone})`
                      : one}
                  </option>
                ))}
              </Select>
            </Field>
          </div>
        </div>
      </Section>
      <Section title="API key">
        {key ? (
          <div className="flex items-center gap-4 p-4">
            <p className="flex-1 text-soft">This tab has a key, and forgets it when it is closed.</p>
            <Button onClick={signOut}>
              <LogOut /> Forget it now
            </Button>
          </div>
        ) : (
          <GiveKey give={signIn} />
        )}
      </Section>
    </PageFrame>
  );
}

function GiveKey({ give }: { give: (key: string) => void }) {
  const [text, setText] = useState("");
  return (
    <form
      className="flex flex-wrap items-end gap-3 p-4"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim()) give(text.trim());
      }}
    >
      <div className="w-80 max-w-full">
        <Field
          id="settings-key"
          label="Key of this server"
          hint="Needed here for tasks that run commands. It is kept in this tab only."
        >
          <Input
            id="settings-key"
            type="password"
            autoComplete="off"
            placeholder="evl_…"
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
        </Field>
      </div>
      <Button type="submit" disabled={text.trim() === ""}>
        Use it
      </Button>
    </form>
  );
}

function Choice({
  legend,
  value,
  choices,
  onChange,
}: {
  legend: string;
  value: string;
  choices: [string, ReactNode][];
  onChange: (value: string) => void;
}) {
  return (
    <fieldset>
      <legend className="pb-1 font-medium">{legend}</legend>
      <div className="flex flex-wrap gap-2">
        {choices.map(([name, label]) => (
          <label
            key={name}
            className="flex h-8 cursor-pointer items-center gap-2 rounded-md border border-line-strong bg-card px-3 has-checked:border-accent has-checked:bg-accent-soft has-checked:text-accent-text has-focus-visible:outline-2 has-focus-visible:outline-accent"
          >
            <input
              type="radio"
              name={legend}
              value={name}
              checked={value === name}
              onChange={() => onChange(name)}
              className="accent-accent"
            />
            {label}
          </label>
        ))}
      </div>
    </fieldset>
  );
}
