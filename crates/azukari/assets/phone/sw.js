// Keeps the shell of the owner's page for when there is no connection: the page and its files, never
// an answer of the platform. With a connection the platform is always asked first.
const KEPT = "azukari-shell-1";
const SHELL = ["/me", "/assets/icon.svg", "/assets/phone/me.webmanifest", ...["ask", "holder", "page", "passkey", "scan", "services", "statement"].map((name) => `/assets/phone/${name}.js`), "/assets/phone/phone.css", "/assets/phone/holder.css"];

addEventListener("install", (event) => event.waitUntil(caches.open(KEPT).then((kept) => kept.addAll(SHELL)).then(() => skipWaiting())));
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (event.request.method !== "GET" || origin !== location.origin || !SHELL.includes(pathname)) return;
  event.respondWith(fetch(event.request).then(async (fresh) => {
    if (fresh.ok) (await caches.open(KEPT)).put(pathname, fresh.clone());
    return fresh;
  }).catch(async () => (await caches.match(pathname)) ?? Response.error()));
});
