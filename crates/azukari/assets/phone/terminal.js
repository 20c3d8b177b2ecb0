// The terminal: the QR code, how far it is, the three digits. What happens comes by server-sent
// events; where those break, the page asks every two seconds.
import { Refused, ask } from "./ask.js";
import { $, both, busy, papers, refuse, refuseBeside, say, show, step, when } from "./page.js";

const POLL_MS = 2_000;
const KEPT = "azukari-terminal";
// Reloading the page must not lose it; another tab does not have it.
if (location.hash) {
  sessionStorage.setItem(KEPT, location.hash.slice(1));
  history.replaceState(null, "", location.pathname + location.search);
}
const secret = sessionStorage.getItem(KEPT);
let seen, ends, ticking;

const over = (state) => ["released", "refused", "expired"].includes(state);

function tick() {
  const left = Math.max(0, Math.ceil((ends - performance.now()) / 1000));
  say($("left"), both(`残り ${left} 秒`, `${left} s left`));
  $("left").classList.toggle("soon", left <= 10);
}

function display(view) {
  $("place").hidden = false;
  for (const name of ["facility", "terminal", "person"]) $(name).textContent = view[name];
  const form = view.documents ? "documents" : "session";
  for (const part of document.querySelectorAll("[data-for]")) part.hidden = part.dataset.for !== form;
  $("papers").hidden = !view.documents || over(view.state);
  if (view.documents) papers(view.documents);
  $("by-card").hidden = !view.cards;
  clearInterval(ticking);
  if (view.qr) {
    const { side, path } = view.qr;
    $("qr").setAttribute("viewBox", `0 0 ${side} ${side}`);
    $("qr").querySelector(".light").setAttribute("d", `M0 0h${side}v${side}H0z`);
    $("qr").querySelector(".dark").setAttribute("d", path);
    ends = performance.now() + view.left * 1000;
    tick();
    ticking = setInterval(tick, 1000);
  }
  if (view.until) {
    const until = when(view.until);
    say($("valid"), both(`アクセストークンの有効期限は ${until.ja} までです`, `The access token is valid until ${until.en}`));
  }
  $("was-refused").hidden = view.state !== "refused";
  $("was-late").hidden = view.state !== "expired";
  const screen = ["refused", "expired"].includes(view.state) ? "over" : view.state;
  if (seen !== screen) show(screen);
  if (screen === "number" && seen !== screen) { $("digits").value = ""; $("digits").focus(); }
  seen = screen;
  return over(view.state);
}

function trouble(refused) {
  if (!refused.problem) throw refused;
  seen = undefined;
  const again = step(both("新しいQRコードを表示する", "Show a new QR code"), restart);
  refuse(refused, refused.code === "terminal-page-unknown" ? [] : [again]);
}

/// Reads events until nothing more will come: true; false where the stream broke.
async function listen() {
  const answer = await fetch("/t/events", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ secret }) });
  if (!answer.ok) throw new Refused(await answer.json());
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return false;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events.filter((line) => line.startsWith("data: "))) {
      const said = JSON.parse(event.slice(6));
      if (said.code) throw new Refused(said);
      if (display(said)) return true;
    }
  }
}

async function watch() {
  for (;;) {
    try {
      if (await listen()) return;
    } catch (refused) {
      if (refused.problem) return trouble(refused);
    }
    // The stream broke, or a proxy does not let it through.
    try {
      if (display(await ask("/t/state", { secret }))) return;
    } catch (refused) {
      if (refused.code !== "unreachable") return trouble(refused);
    }
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

async function restart() {
  try {
    seen = undefined;
    display(await ask("/t/again", { secret }));
    await watch();
  } catch (refused) { trouble(refused); }
}

async function number(event) {
  event.preventDefault();
  const beside = $("number-trouble");
  beside.hidden = true;
  try {
    display(await ask("/t/number", { secret, number: $("digits").value.normalize("NFKC").trim() }));
  } catch (refused) {
    if (!["number-wrong", "unreachable"].includes(refused.code)) return trouble(refused);
    const left = refused.problem.detail?.match(/\d+(?= tries? (is|are) left)/)?.[0];
    refuseBeside(beside, refused, left && both(`あと${left}回入力できます。`, `${left} tries are left.`));
    $("digits").value = "";
    $("digits").focus();
  }
}

/// A card instead: its PIN has a page of its own.
async function card(means) {
  try { location.assign((await ask("/t/card", { secret, means })).page); }
  catch (refused) { trouble(refused); }
}

for (const button of document.querySelectorAll("[data-means]"))
  button.addEventListener("click", () => busy(button, () => card(button.dataset.means)));
$("number-form").addEventListener("submit", (event) => busy($("number-form").querySelector("button"), () => number(event)));
$("again").addEventListener("click", () => busy($("again"), restart));
if (secret) watch();
else refuse(new Refused({ code: "terminal-page-unknown", title: "このページは、もう使えません", advice: "電子カルテの画面から、もう一度始めてください。", title_en: "This page is of no use any more", advice_en: "Begin again in the medical record." }));
