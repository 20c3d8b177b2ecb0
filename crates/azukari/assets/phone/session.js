// What a terminal asks: the place and what would be allowed are shown, compared with what would be
// signed, and approved by finger or face – or refused.
import { ask } from "./ask.js";
import { ability, get } from "./passkey.js";
import { compare, shortCode } from "./statement.js";
import { $, both, busy, refuse, refuseBeside, say, secret, show, step, when } from "./page.js";

const qr = secret();
let asked, credential;

const again = (act) => step(both("もう一度試す", "Try again"), act);
const steps = (code, retry) => ({
  "unreachable": [again(retry)], "fault": [again(retry)], "slow-down": [again(retry)],
  "phone-not-linked": [step(both("この電話で登録した方はこちら", "I registered this phone"), recall)],
}[code] ?? []);
const fail = (refused, retry) => {
  if (!refused.problem) throw refused;
  refuse(refused, steps(refused.code, retry));
};

async function begin() {
  if (!qr) return show("no-qr");
  show("opening");
  if (await ability() === "none") return show("other-browser");
  try {
    asked = await ask("/phone/session/claim", { ceremony: qr.id, secret: qr.secret });
    await compare(asked.type, asked.statement, asked.options);
    display();
  } catch (refused) { fail(refused, begin); }
}

// The cookie that says whose phone this is was lost, the key was not: the phone names itself by it.
async function recall() {
  try {
    const { signin, statement, options } = await ask("/me/signin/begin", {});
    await compare("signin", statement, options);
    await ask("/me/signin/finish", { signin, credential: await get(options) });
    await begin();
  } catch (refused) { fail(refused, recall); }
}

function display() {
  const s = asked.statement, until = when(s.notAfter ?? asked.card_until);
  for (const part of document.querySelectorAll("[data-for]")) part.hidden = !part.dataset.for.split(" ").includes(asked.type);
  $("person").textContent = asked.person_display;
  for (const element of [$("until"), ...document.querySelectorAll("[data-until]")]) say(element, both(`${until.ja} まで`, until.en));
  if (asked.type === "login") displayLogin(s);
  else if (asked.type === "link-card") displayCode(asked.options.challenge);
  else displayPlace(s, until);
  show("ask");
}

const named = (template, attribute, names) => names.flatMap((value, place) => {
  const name = template.content.querySelector(`[${attribute}="${CSS.escape(value)}"]`).cloneNode(true);
  return place ? [document.createTextNode("、"), name] : [name];
});

function displayLogin(s) {
  $("client").textContent = s.clientName;
  const device = s.redirectHost.startsWith("device:") && s.redirectHost.slice(7);
  if (device) say($("host"), both(`端末のコード ${device}（端末の表示と同じか確かめてください）`, `device code ${device} (compare it with the device)`));
  else $("host").textContent = s.redirectHost;
  $("told").replaceChildren(...named($("scopes"), "data-scope", s.scopes));
}

const displayCode = (root) => { $("short-code").textContent = shortCode(root).replace(/(.{4})/, "$1 "); };

function displayPlace(s, until) {
  $("facility-code").textContent = s.facilityId;
  for (const element of [$("facility"), ...document.querySelectorAll("[data-facility]")]) element.textContent = s.facilityName;
  for (const element of [$("terminal"), ...document.querySelectorAll("[data-terminal]")]) element.textContent = s.terminalLabel;
  const count = s.maxCount ?? s.count;
  say($("count"), asked.type === "session" ? both(`${count}件まで`, `up to ${count}`) : both(`${count}件`, `${count}`));
  $("kinds-seen").replaceChildren(...named($("kinds"), "data-kind", s.kinds));
  if (asked.type === "documents") displayCode(s.root);
  say($("valid"), both(`署名できる期限は ${until.ja} までです`, `You can sign until ${until.en}`));
}

async function approve() {
  $("ask-trouble").hidden = true;
  try {
    credential = await get(asked.options);
    await send();
  } catch (refused) {
    if (!refused.problem) throw refused;
    if (["passkey-cancelled", "passkey-failed", "user-not-verified"].includes(refused.code)) {
      show("ask");
      refuseBeside($("ask-trouble"), refused);
      $("ask-trouble").scrollIntoView({ block: "center" });
    } else fail(refused, send);
  }
}

// The same answer may be sent again: the first may have arrived.
async function send() {
  show("sending");
  try {
    const done = await ask("/phone/session/approve", { ceremony: qr.id, credential });
    // The browser that logs in is this one: it goes on by itself.
    if (done.back?.startsWith("/oauth/continue/")) return location.replace(done.back);
    if (!done.number) return show("done");
    $("digits").textContent = done.number;
    show("number");
  } catch (refused) {
    if (["unreachable", "fault"].includes(refused.code)) return fail(refused, () => send().catch((later) => fail(later, send)));
    throw refused;
  }
}

async function sayNo() {
  try {
    await ask("/phone/session/refuse", { ceremony: qr.id, secret: qr.secret });
    show("said-no");
  } catch (refused) { fail(refused, sayNo); }
}

$("approve").addEventListener("click", () => busy($("approve"), approve));
$("refuse").addEventListener("click", () => busy($("refuse"), sayNo));
begin();
