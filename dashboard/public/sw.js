// Keeps the files of the dashboard, so that a reload shows the shell while the server is away. The server is asked first for
// every page, and nothing but pages and their hashed files is answered from here: what the API says is never kept.
// The build puts in which files there are.
const VERSION = "__VERSION__";
const FILES = ["__FILES__"];
const SHELL = `everloop ${self.registration.scope} ${VERSION}`;

self.addEventListener("install", (event) => {
  const keep = async () => (await caches.open(SHELL)).addAll(["./", ...FILES]);
  event.waitUntil(keep().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (name) => name.startsWith(`everloop ${self.registration.scope} `) && name !== SHELL;
  const clean = async () => Promise.all((await caches.keys()).filter(old).map((name) => caches.delete(name)));
  event.waitUntil(clean().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  if (request.mode === "navigate") {
    event.respondWith(
      fetch(request).catch(async (error) => {
        const page = await caches.match("./", { cacheName: SHELL });
        if (page) return page;
        throw error;
      }),
    );
  } else if (request.url.startsWith(`${self.registration.scope}assets/`)) {
    const kept = caches.match(request, { cacheName: SHELL, ignoreVary: true });
    event.respondWith(kept.then((file) => file ?? fetch(request)));
  }
});
