// A login elsewhere, in the browser that logs in: the QR code (or, on the phone itself, one step to
// the approval), how far it is, the three digits, and back to the service.
import { ask } from "./ask.js";
import { $, both, busy, refuse, refuseBeside, say, show, step } from "./page.js";

const POLL_MS = 1_500;
const login = $("place").dataset.login;
const about = (more = {}) => ({ login, ...more });
let seen, ends, ticking, shown = false;

function tick() {
  const left = Math.max(0, Math.ceil((ends - performance.now()) / 1000));
  say($("left"), both(`残り ${left} 秒`, `${left} s left`));
  $("left").classList.toggle("soon", left <= 10);
  for (const element of document.querySelectorAll("[data-left]")) element.replaceChildren(...$("left").cloneNode(true).childNodes);
}

const goOn = () => location.replace(`/oauth/continue/${login}`);

async function draw() {
  const { qr, address, left } = await ask("/oauth/page/show", about());
  $("qr").setAttribute("viewBox", `0 0 ${qr.side} ${qr.side}`);
  $("qr").querySelector(".light").setAttribute("d", `M0 0h${qr.side}v${qr.side}H0z`);
  $("qr").querySelector(".dark").setAttribute("d", qr.path);
  $("go-here").href = address;
  for (const element of document.querySelectorAll("[data-command]")) element.textContent = `azukari card approve --ca ca.pem${element.dataset.command} '${address}'`;
  ends = performance.now() + left * 1000;
  shown = true;
  clearInterval(ticking);
  tick();
  ticking = setInterval(tick, 1000);
}

/// Shows how far it is; true once there is nothing more to wait for.
async function display(view) {
  $("place").hidden = false;
  $("client").textContent = view.client;
  $("host").textContent = view.place ? view.place.join(" ") : view.host;
  for (const part of document.querySelectorAll("[data-by]")) part.hidden = (part.dataset.by === "phone") !== (view.means === "phone");
  $("leaving").hidden = ["ready", "refused"].includes(view.step);
  if (["ready", "refused"].includes(view.step)) { show("done"); goOn(); return true; }
  if (view.step === "idle" && !shown) {
    await draw();
    view.step = "waiting";
  }
  const screen = { idle: "late", waiting: view.means !== "phone" ? `by-${view.means}` : view.phone ? "here" : "waiting", claimed: "claimed", number: "number", opening: "claimed" }[view.step];
  if (seen !== screen) show(screen);
  if (screen === "number" && seen !== screen) { $("digits").value = ""; $("digits").focus(); }
  seen = screen;
  return view.step === "idle";
}

function trouble(refused) {
  if (!refused.problem) throw refused;
  seen = undefined;
  $("leaving").hidden = true;
  const again = step(both("もう一度試す", "Try again"), watch);
  refuse(refused, refused.code === "oauth-browser-differs" ? [] : [again]);
}

async function watch() {
  for (;;) {
    try {
      if (await display(await ask("/oauth/page/state", about()))) return;
    } catch (refused) {
      if (refused.code !== "unreachable") return trouble(refused);
    }
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

async function number(event) {
  event.preventDefault();
  const beside = $("number-trouble");
  beside.hidden = true;
  try {
    await ask("/oauth/page/number", about({ number: $("digits").value.normalize("NFKC").trim() }));
  } catch (refused) {
    if (!["number-wrong", "unreachable"].includes(refused.code)) return trouble(refused);
    const left = refused.problem.detail?.match(/\d+(?= tries? (is|are) left)/)?.[0];
    refuseBeside(beside, refused, left && both(`あと${left}回入力できます。`, `${left} tries are left.`));
    $("digits").value = "";
    $("digits").focus();
  }
}

$("number-form").addEventListener("submit", (event) => busy($("number-form").querySelector("button"), () => number(event)));
$("again").addEventListener("click", () => busy($("again"), () => { shown = false; seen = undefined; return watch(); }));
$("leave").addEventListener("click", () => busy($("leave"), async () => {
  try { await ask("/oauth/page/leave", about()); goOn(); } catch (refused) { trouble(refused); }
}));
watch();
