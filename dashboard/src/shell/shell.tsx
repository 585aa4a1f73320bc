import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { Menu as MenuIcon, Search } from "lucide-react";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { inboxQuery, totalOf } from "@/api/queries";
import { Button } from "@/parts/button";
import { useAsking } from "@/parts/confirm";
import { Toasts } from "@/parts/toast";
import { useSession } from "@/state/session";
import { ConnectionLine, LostBanner } from "./connection";
import { Nav } from "./nav";
import { useShortcuts, useShell } from "./shortcuts";
import { ThemeButton } from "./theme";

// What opens on demand is fetched on demand: the first page stays small.
const load = () => import("./overlays");
const Overlays = lazy(load);

function Logo() {
  return (
    <Link to="/" className="flex items-center gap-2 rounded-md font-semibold tracking-tight">
      <svg aria-hidden viewBox="0 0 32 32" className="size-6">
        <rect width="32" height="32" rx="8" fill="var(--accent)" />
        <path
          d="M10.5 11.2c-3 0-4.8 2.2-4.8 4.8s1.8 4.8 4.8 4.8c5.500 0 5.500-9.600 11-9.600 3 0 4.800 2.200 4.800 4.800s-1.800 4.800-4.800 4.800c-5.500 0-5.500-9.600-11-9.600z"
          fill="none"
          stroke="#fff"
          strokeWidth="2.6"
        />
      </svg>
      Everloop
    </Link>
  );
}

/** The frame of every page. */
export function Shell() {
  const [isNavOpen, setNavOpen] = useState(false);
  const needsKey = useSession((session) => session.needsKey);
  const main = useRef<HTMLElement>(null);
  const path = useRouterState({ select: (state) => state.location.pathname });
  const open = useShell((state) => state.open);
  const waiting = totalOf(useQuery(inboxQuery).data);
  const isAsking = useAsking((state) => state.question !== undefined);
  const isOverlaid = useShell((state) => state.overlay !== undefined);
  // Once something has opened, what shows it stays: closing needs it, too.
  const [wasCovered, setCovered] = useState(false);
  const isCovered = wasCovered || needsKey || isAsking || isOverlaid;
  useEffect(() => setCovered(isCovered), [isCovered]);
  // Whoever moves or types may open something soon: it is there then, and no letter is lost.
  useEffect(() => {
    const stop = new AbortController();
    const begin = () => {
      stop.abort();
      void load();
    };
    for (const name of ["keydown", "pointermove", "pointerdown"]) {
      window.addEventListener(name, begin, { signal: stop.signal, capture: true });
    }
    return () => stop.abort();
  }, []);
  useShortcuts();
  useDocumentTitle(waiting);
  useEffect(() => {
    setNavOpen(false);
    main.current?.scrollTo(0, 0);
  }, [path]);

  return (
    <div className="flex h-full flex-col md:flex-row">
      <a
        href="#main"
        className="card absolute top-2 left-2 z-60 -translate-y-16 px-3 py-1.5 focus:translate-y-0"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <aside className="hidden w-56 shrink-0 flex-col border-r bg-card md:flex">
        <div className="flex h-14 items-center px-5">
          <Logo />
        </div>
        <div className="px-3 pb-2">
          <button
            type="button"
            onClick={() => open("palette")}
            className="flex h-8 w-full items-center gap-2 rounded-md border bg-page px-2.5 text-faint hover:border-line-strong"
          >
            <Search aria-hidden className="size-3.5" />
            <span className="flex-1 text-left">Find or do</span>
            <kbd className="font-sans text-[11px]">Ctrl K</kbd>
          </button>
        </div>
        <div className="min-h-0 flex-1 overflow-y-auto">
          <Nav />
        </div>
        <footer className="flex items-center gap-1 border-t px-4 py-2">
          <ConnectionLine />
          <ThemeButton />
        </footer>
      </aside>
      <header className="flex h-12 shrink-0 items-center gap-1 border-b bg-card px-3 md:hidden">
        <Button
          look="quiet"
          size="icon"
          aria-label="Menu"
          aria-expanded={isNavOpen}
          onClick={() => setNavOpen(!isNavOpen)}
        >
          <MenuIcon />
        </Button>
        <div className="flex-1">
          <Logo />
        </div>
        <Button look="quiet" size="icon" aria-label="Find or do" onClick={() => open("palette")}>
          <Search />
        </Button>
        <ThemeButton />
      </header>
      {isNavOpen && (
        <div className="border-b bg-card pb-2 md:hidden">
          <Nav onGo={() => setNavOpen(false)} />
          <div className="flex px-4 pt-2">
            <ConnectionLine />
          </div>
        </div>
      )}
      <div className="flex min-h-0 min-w-0 flex-1 flex-col">
        <LostBanner />
        <main ref={main} id="main" tabIndex={-1} className="min-h-0 flex-1 overflow-y-auto outline-none">
          {!needsKey && <Outlet />}
        </main>
      </div>
      <Toasts />
      {isCovered && (
        <Suspense fallback={null}>
          <Overlays />
        </Suspense>
      )}
    </div>
  );
}

/** The title of the page, after how many wait for a person. */
function useDocumentTitle(waiting: number): void {
  useEffect(() => {
    const apply = () => {
      const title = document.documentElement.dataset.title;
      document.title = `${waiting > 0 ? `(${waiting}) ` : ""}${title ? `${title} · ` : ""}Everloop`;
    };
    apply();
    window.addEventListener("everloop:title", apply);
    return () => window.removeEventListener("everloop:title", apply);
  }, [waiting]);
}
