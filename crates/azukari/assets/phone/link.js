// Registering this phone: the sheet's secret, the birth date, the personal ID and the terms, the key.
import { ask, refusal } from "./ask.js";
import { ability, create, held } from "./passkey.js";
import { compare, terms } from "./statement.js";
import { $, both, busy, refuse, refuseBeside, say, secret, show, step } from "./page.js";

const HOLDER = "/me";
const sheet = secret();
let session, asked, made;

const phone = /iPhone|iPod/.test(navigator.userAgent) ? "iphone" : /Android/.test(navigator.userAgent) ? "android" : "other";
const NAMES = { iphone: "iPhone", android: "Android", other: "スマートフォン" };

// What to offer beside the words of a refusal. A sheet that is of no use any more offers nothing:
// the advice names the desk.
const again = (act) => step(both("もう一度試す", "Try again"), act);
const steps = (code, retry) => ({
  "phone-linked-here": [step(both("資格証の画面へ", "To my page"), HOLDER)],
  "passkey-exists": [step(both("資格証の画面へ", "To my page"), HOLDER)],
  // The last answer may have been lost: her passkey then tells that this is the phone.
  "phone-already-linked": [step(both("この電話で登録した方はサインイン", "I registered this phone: sign in"), HOLDER, "second")],
  "unreachable": [again(retry)],
  "slow-down": [again(retry)],
  "fault": [again(retry)],
}[code] ?? []);
const fail = (refused, retry) => {
  if (!refused.problem) throw refused;
  if (refused.code === "screen-lock-missing") return noLock();
  refuse(refused, steps(refused.code, retry));
};

function noLock() {
  const screen = show("no-lock");
  for (const kind of screen.querySelectorAll("details")) kind.open = kind.dataset.kind === phone;
}

async function begin() {
  if (!sheet) return show("no-sheet");
  show("opening");
  const able = await ability();
  if (able === "none") return show("other-browser");
  if (able === "unlocked") return noLock();
  try {
    const opened = await ask("/phone/link/open", { sheet: sheet.id, secret: sheet.secret });
    session = opened.session;
    // Her card ordered this sheet: that it is hers is proven.
    asked = opened.proven;
    if (asked) return await confirm();
    show("birth");
    $("date").focus();
  } catch (refused) { fail(refused, begin); }
}

async function birth(event) {
  event.preventDefault();
  const trouble = $("birth-trouble");
  trouble.hidden = true;
  // Full-width digits come from Japanese keyboards, separators from habit.
  const date = $("date").value.normalize("NFKC").replace(/[-/.\s年月日]/g, "");
  try {
    asked = await ask("/phone/link/birth", { session, birth_date: date });
    await confirm();
  } catch (refused) {
    if (!refused.problem) throw refused;
    const left = refused.problem.detail?.match(/\d+(?= tries? (is|are) left)/)?.[0];
    if (["birth-date-wrong", "birth-date-malformed", "unreachable", "fault"].includes(refused.code)) {
      refuseBeside(trouble, refused, left && both(`あと${left}回入力できます。`, `${left} tries are left.`));
      if (refused.code === "birth-date-wrong") $("date").value = "";
      $("date").focus();
    } else fail(refused, begin);
  }
}

async function confirm() {
  const { ja, en } = await terms(asked.statement.termsHash);
  await compare("link", asked.statement, asked.options);
  say($("terms"), both(ja, en));
  $("person").textContent = asked.person_display;
  $("label").value ||= NAMES[phone];
  show("confirm");
}

async function register(event) {
  event.preventDefault();
  const trouble = $("confirm-trouble");
  trouble.hidden = true;
  const label = $("label").value.trim();
  if (!$("agree").checked || !label) {
    const [ja, en] = label ? ["「同意します」に印を付けてください。", "Tick “I agree”."] : ["このスマートフォンの名前を入力してください。", "Enter a name for this phone."];
    refuseBeside(trouble, refusal("", "まだ登録できません", ja, "Not yet", en));
    return (label ? $("agree") : $("label")).focus();
  }
  try {
    // One certificate for each phone: a key of ours that is here already is somebody's.
    const here = await held(asked.statement.rpId);
    if (here) await ask("/phone/link/held", { session, credential_id: here });
    made ??= await create(asked.options);
    await finish(label);
  } catch (refused) {
    if (!refused.problem) throw refused;
    if (["passkey-cancelled", "passkey-failed", "phone-name-malformed"].includes(refused.code)) {
      show("confirm");
      refuseBeside(trouble, refused);
      trouble.scrollIntoView({ block: "center" });
    } else fail(refused, begin);
  }
}

async function finish(label) {
  show("making");
  try {
    const done = await ask("/phone/link/finish", { session, credential: made, label });
    // With this she finds every use of her key among all entries of the journal.
    localStorage.setItem("azukari-stream-key", done.stream_key);
  } catch (refused) {
    // The answer may be lost on the way although the phone is linked: asking again tells.
    if (refused.code === "unreachable") return refuse(refused, [again(() => finish(label).catch((later) => fail(later, begin)))]);
    // What was refused is not offered a second time.
    if (refused.code !== "phone-name-malformed") made = undefined;
    throw refused;
  }
  $("done-person").textContent = asked.person_display;
  $("done-label").textContent = label;
  show("done");
}

$("birth-form").addEventListener("submit", (event) => busy(event.submitter ?? $("birth-form").querySelector("button"), () => birth(event)));
$("confirm-form").addEventListener("submit", (event) => busy(event.submitter ?? $("confirm-form").querySelector("button"), () => register(event)));
$("agree").addEventListener("change", () => { $("confirm-trouble").hidden = true; });
$("look-again").addEventListener("click", begin);
begin();
