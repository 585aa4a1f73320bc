import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError } from "./api/http";
import { Live } from "./api/live";
import { refresh } from "./api/refresh";
import { LiveContext } from "./shell/live";
import { makeRouter } from "./router";
import { applyPreferences } from "./state/preferences";
import { useSession } from "./state/session";
import "./styles.css";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2000,
      refetchOnWindowFocus: true,
      // What was refused is refused again; what did not arrive may arrive.
      retry: (failures, error) => !(error instanceof ApiError) && failures < 2,
      networkMode: "always",
    },
    mutations: { networkMode: "always" },
  },
});

applyPreferences();
const live = new Live();
refresh(queries, live);
live.start();
// With another key everything is asked again.
useSession.subscribe((now, before) => {
  if (now.key !== before.key) void queries.invalidateQueries();
});

// The shell is kept for when the server is away; where the browser allows it, which is on this machine and over TLS.
if (import.meta.env.PROD && "serviceWorker" in navigator) {
  window.addEventListener("load", () => {
    navigator.serviceWorker.register(new URL("sw.js", document.baseURI)).catch(() => undefined);
  });
}

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <LiveContext value={live}>
          <RouterProvider router={makeRouter()} />
        </LiveContext>
      </QueryClientProvider>
    </StrictMode>,
  );
}
