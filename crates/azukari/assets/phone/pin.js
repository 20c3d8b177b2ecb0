// The PIN of a card that is in this host's reader: which card it is first, then the PIN.
import { Refused, ask } from "./ask.js";
import { $, both, busy, papers, refuse, refuseBeside, say, show, when } from "./page.js";

const LOOK_MS = 2_000;
const KEPT = "azukari-pin";
// Reloading the page must not lose it; another tab does not have it.
if (location.hash) {
  sessionStorage.setItem(KEPT, location.hash.slice(1));
  history.replaceState(null, "", location.pathname + location.search);
}
const secret = sessionStorage.getItem(KEPT);
// The card that stands on the page: the PIN is for no other.
let seen, looking, certificate;

function face(card) {
  $("holder").textContent = card.holder ?? "";
  $("qualification").textContent = card.qualification ?? "";
  say($("until"), when(card.until));
  say($("tries"), card.tries === undefined ? both("カードからは分かりません", "the card does not say") : both(`あと${card.tries}回`, `${card.tries}`));
  $("tries").classList.toggle("soon", card.tries !== undefined && card.tries < 3);
  $("blocked").hidden = !card.blocked;
  $("pin-form").hidden = card.blocked;
  $("last-asked").hidden = card.tries !== 1;
  $("typed").inputMode = card.digits ? "numeric" : "text";
}

function display(view) {
  $("place").hidden = false;
  for (const name of ["facility", "terminal", "person"]) $(name).textContent = view[name];
  for (const part of document.querySelectorAll("[data-for]")) part.hidden = !part.dataset.for.split(" ").includes(view.purpose);
  if (view.kind) $("kind").replaceChildren($("kinds").content.querySelector(`[data-kind="${CSS.escape(view.kind)}"]`).cloneNode(true));
  $("papers").hidden = !view.documents || view.state === "over";
  if (view.documents) papers(view.documents);
  if (view.card) face(view.card);
  certificate = view.certificate;
  if (view.until) {
    const until = when(view.until);
    say($("valid"), both(`アクセストークンの有効期限は ${until.ja} までです`, `The access token is valid until ${until.en}`));
  }
  clearTimeout(looking);
  if (view.state === "over") return refuse(new Refused(view.trouble));
  if (view.state === "card") {
    // An empty reader is no trouble yet.
    const nothing = ["card-missing", "card-removed"].includes(view.trouble.code);
    if (nothing) $("card-trouble").hidden = true;
    else refuseBeside($("card-trouble"), new Refused(view.trouble));
  }
  if (["card", "busy"].includes(view.state)) looking = setTimeout(look, LOOK_MS);
  if (seen !== view.state) show(view.state);
  if (view.state === "pin" && seen !== "pin") $("typed").focus();
  seen = view.state;
}

async function look() {
  try { display(await ask("/c/state", { secret })); }
  catch (refused) {
    if (!refused.problem) throw refused;
    if (refused.code === "unreachable") looking = setTimeout(look, LOOK_MS);
    else refuse(refused);
  }
}

async function sign(event) {
  event.preventDefault();
  const beside = $("pin-trouble"), pin = $("typed").value;
  beside.hidden = true;
  $("typed").value = "";
  try { display(await ask("/c/pin", { secret, pin, certificate, last: $("last").checked })); }
  catch (refused) {
    if (!refused.problem) throw refused;
    $("last").checked = false;
    await look();
    if (seen !== "pin") return;
    refuseBeside(beside, refused);
    $("typed").focus();
  }
}

$("pin-form").addEventListener("submit", (event) => busy($("pin-form").querySelector("button"), () => sign(event)));
$("look").addEventListener("click", () => busy($("look"), look));
if (secret) look();
else refuse(new Refused({ code: "terminal-page-unknown", title: "このページは、もう使えません", advice: "電子カルテの画面から、もう一度始めてください。", title_en: "This page is of no use any more", advice_en: "Begin again in the medical record." }));
