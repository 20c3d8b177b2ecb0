// What every page has: the two languages, screens of which one is seen, and how a refusal is shown.

export const lang = () => document.documentElement.lang === "en" ? "en" : "ja";
export const both = (ja, en) => ({ ja, en });
export const $ = (id) => document.getElementById(id);

const tongue = $("tongue");
tongue?.addEventListener("click", () => {
  const next = lang() === "ja" ? "en" : "ja";
  document.documentElement.lang = next;
  tongue.lang = next === "ja" ? "en" : "ja";
  tongue.textContent = next === "ja" ? "English" : "日本語";
  // The secret of the fragment is gone by now; what stays in the address is the language.
  const address = new URL(location.href);
  address.searchParams.set("lang", next);
  history.replaceState(null, "", address);
});

/// Writes a text in both languages into an element.
export function say(element, text) {
  element.replaceChildren(...["ja", "en"].map((tag) => {
    const span = document.createElement("span");
    span.lang = tag;
    span.textContent = text[tag];
    return span;
  }));
}

/// Shows one screen and puts the reader at its heading.
export function show(id) {
  for (const screen of document.querySelectorAll("main > .screen")) screen.hidden = screen.id !== id;
  const screen = $(id);
  const heading = screen.querySelector("h1[tabindex]");
  scrollTo(0, 0);
  heading?.focus({ preventScroll: true });
  return screen;
}

/// Documents that are to be approved: the eight characters, how many, of which kinds.
export function papers(documents) {
  $("short-code").textContent = documents.short_code.replace(/(.{4})/, "$1 ");
  say($("count"), both(`${documents.count}件`, `${documents.count}`));
  const names = $("kinds").content;
  $("kinds-seen").replaceChildren(...documents.kinds.map((kind) => names.querySelector(`[data-kind="${CSS.escape(kind)}"]`).cloneNode(true)));
}

/// The `#1.<id>.<secret>` of a QR code: taken once and cleared from the address at once.
export function secret() {
  const parts = location.hash.slice(1).split(".");
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  return parts.length === 3 && parts[0] === "1" ? { id: parts[1], secret: parts[2] } : null;
}

/// Another QR code scanned into a page that is open already must not be passed over.
addEventListener("hashchange", () => { if (location.hash) location.reload(); });

/// A button or link for the next step. `act` is a function or an address.
export function step(label, act, kind = "main") {
  const element = document.createElement(typeof act === "string" ? "a" : "button");
  element.className = kind;
  if (typeof act === "string") element.href = act;
  else { element.type = "button"; element.addEventListener("click", act); }
  say(element, label);
  return element;
}

/// What is no trouble at all: there is just nothing left to do.
const CALM = ["phone-linked-here", "passkey-exists"];

/// Shows a refusal on a screen of its own (`refused.html`), with the steps that the page offers.
export function refuse(refused, steps = []) {
  const screen = $("refused"), problem = refused.problem, calm = CALM.includes(problem.code);
  screen.firstElementChild.className = calm ? "good" : "bad";
  screen.querySelector(".mark").textContent = calm ? "✓" : "!";
  say(screen.querySelector("[data-title]"), both(problem.title, problem.title_en));
  say(screen.querySelector("[data-advice]"), both(problem.advice, problem.advice_en));
  screen.querySelector("[data-code]").textContent = problem.code;
  const reference = screen.querySelector("[data-reference]");
  reference.hidden = !problem.reference;
  reference.querySelector("code").textContent = problem.reference ?? "";
  screen.querySelector("[data-next]").replaceChildren(...steps);
  show("refused");
}

/// A refusal beside the field that it is about, announced to whoever does not see it.
export function refuseBeside(element, refused, more) {
  const strong = document.createElement("strong"), advice = document.createElement("span");
  say(strong, both(refused.problem.title, refused.problem.title_en));
  say(advice, both(refused.problem.advice, refused.problem.advice_en));
  const lines = [strong, advice];
  if (more) { const line = document.createElement("b"); say(line, more); lines.push(line); }
  element.className = "refusal";
  element.hidden = false;
  element.replaceChildren(...lines);
}

/// Draws a photograph (a PNG or JPEG file in base64), or hides its place.
export async function portrait(canvas, photo) {
  let picture;
  try {
    if (photo) picture = await createImageBitmap(new Blob([Uint8Array.from(atob(photo), (c) => c.charCodeAt(0))]));
  } catch { /* Shown without. */ }
  canvas.hidden = !picture;
  if (!picture) return;
  [canvas.width, canvas.height] = [picture.width, picture.height];
  canvas.getContext("2d").drawImage(picture, 0, 0);
}

/// Runs what a button does, once at a time.
export async function busy(button, act) {
  button.disabled = true;
  try { return await act(); } finally { button.disabled = false; }
}

const clock = (tag, options) => new Intl.DateTimeFormat(tag, { timeZone: "Asia/Tokyo", hourCycle: "h23", ...options });
/// A time in seconds since 1970, as it is said in Japan.
export function when(seconds) {
  const part = Object.fromEntries(clock("ja-JP", { year: "numeric", month: "numeric", day: "numeric", hour: "2-digit", minute: "2-digit" })
    .formatToParts(seconds * 1000).map(({ type, value }) => [type, value]));
  const en = clock("en-GB", { day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit" }).format(seconds * 1000);
  return both(`${part.year}年${part.month}月${part.day}日 ${part.hour}:${part.minute}`, `${en} (Japan)`);
}
