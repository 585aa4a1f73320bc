import { fileURLToPath } from "node:url";
import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const everloop = process.env.EVERLOOP_URL ?? "http://127.0.0.1:7420";

export default defineConfig({
  // Every address in the build is relative to the page's <base>, so that it works below any path.
  base: "./",
  plugins: [react(), tailwind()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
  },
  // `npm run dev` speaks to a server that runs.
  server: { proxy: { "/api": everloop, "/health": everloop, "/.well-known": everloop } },
  test: { environment: "jsdom", include: ["src/**/*.test.{ts,tsx}"] },
});
