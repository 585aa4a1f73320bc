import { defineConfig } from "@playwright/test";

// The real program is driven by Debian's Chromium: EVERLOOP_BIN and EVERLOOP_CHROMIUM say where they are.
export default defineConfig({
  testDir: "e2e",
  fullyParallel: true,
  workers: 2,
  timeout: 180_000,
  expect: { timeout: 30_000 },
  reporter: [["line"]],
  projects: [
    { name: "gate", testIgnore: /(figures|pictures)\.spec\.ts/ },
    { name: "figures", testMatch: /figures\.spec\.ts/ },
    { name: "pictures", testMatch: /pictures\.spec\.ts/ },
  ],
  use: {
    viewport: { width: 1280, height: 800 },
    launchOptions: {
      executablePath: process.env.EVERLOOP_CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-dev-shm-usage"],
    },
    // It would keep pages of one test for the next; it has a test of its own.
    serviceWorkers: "block",
    trace: "off",
  },
});
