// The owner's page: her card, what may be signed now, what was signed, and what she decides.
import { ask, Refused } from "./ask.js";
import { get } from "./passkey.js";
import { compare, shortCode } from "./statement.js";
import { able, scan } from "./scan.js";
import { services } from "./services.js";
import { $, both, busy, portrait, refuse, refuseBeside, say, show, step, when } from "./page.js";

const KEPT = "azukari-card";
const KINDS = { prescription: both("電子処方箋", "Prescription"), dispensing: both("調剤結果", "Dispensing result"), referral: both("紹介状", "Referral letter"), statement: both("診断書・証明書", "Medical certificate") };
const STOPS = {
  owner: both("あなたが止めました。", "You stopped it."), desk: both("認証局の窓口が止めました。", "The authority’s desk stopped it."),
  revoked: both("証明書が失効しています。", "The certificate was revoked."), expired: both("証明書の期限が切れています。", "The certificate has expired."),
  "self-check": both("点検で異常が見つかり、止めてあります。", "A check found something wrong."),
};
const NOTICES = {
  "phone-linked": both("電話を登録しました", "A phone was registered"), "phone-changed": both("新しい電話に替わりました", "You moved to a new phone"),
  "phone-unlinked": both("電話の登録が終わりました", "The phone was unregistered"), "phone-lost": both("電話の紛失を届け出ました", "You reported your phone as lost"),
  "sheet-issued": both("登録用紙が発行されました", "A registration sheet was issued"), "session-opened": both("署名の承認をしました", "You allowed signing"),
  "key-stopped": both("鍵を止めました", "The key was stopped"), "key-started": both("鍵の利用を再開しました", "The key was started again"),
  disputed: both("「自分ではない」と申し出ました", "You said that it was not you"), "signed-in": both("このページにサインインしました", "You signed in to this page"),
  "session-ended": both("認証局の窓口が認証を終わらせました", "The authority’s desk ended a session"), "certificate-revoked": both("証明書が失効し、鍵は使えなくなりました", "The certificate was revoked; the key cannot be used"),
  "login-approved": both("他のサービスへのログインを承認しました", "You logged in to another service"),
  "card-linked": both("マイナンバーカードを紐付けました", "A My Number Card was linked"), "card-unlinked": both("マイナンバーカードの紐付けが終わりました", "The My Number Card was unlinked"), "card-expires": both("マイナンバーカードの証明書の期限が近づいています。更新したら、もう一度紐付けてください", "The certificate of your My Number Card runs out soon. Link the card again once it is renewed"), "card-revoked": both("カードが失効し、その承認を終えました", "Your card was revoked, and what it had allowed has ended"),
};
let state, signin, signinAt = 0, after = () => {};

const el = (tag, kind, ...inside) => {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  for (const one of inside) {
    if (one instanceof Node || typeof one === "string") element.append(one);
    else { const span = document.createElement("span"); say(span, one); element.append(...span.childNodes); }
  }
  return element;
};
const plus = (...texts) => both(texts.map((t) => t.ja ?? t).join(""), texts.map((t) => t.en ?? t).join(""));
const act = (path, body) => ask(path, body, { "x-azukari-csrf": state.csrf });

/// A refusal anywhere: signed out leads to the sign-in, the rest is shown.
function fail(refused, retry) {
  if (!refused.problem) throw refused;
  if (refused.code === "signin-needed") return toSignin();
  const again = ["unreachable", "slow-down", "fault"].includes(refused.code) && retry;
  refuse(refused, [again ? step(both("もう一度試す", "Try again"), retry) : step(both("本人のページへ戻る", "Back to your page"), open)]);
}
const tried = (button, work) => button.addEventListener("click", () => busy(button, () => work().catch((refused) => fail(refused, open))));

// ── signing in ──
async function toSignin() {
  try {
    signin = await ask("/me/signin/begin", {});
    signinAt = Date.now();
  } catch (refused) { return offline() || fail(refused, toSignin); }
  const known = signin.person_display;
  $("signin-who").hidden = !known;
  $("signin-who").querySelector("b").textContent = known ?? "";
  $("signin-nobody").hidden = !!known;
  $("signin-trouble").hidden = true;
  show("signin");
}
$("signin-go").addEventListener("click", (event) => busy(event.currentTarget, async () => {
  try {
    // What was asked a while ago is asked anew: it stands for two minutes.
    if (!signin || Date.now() - signinAt > 90_000) { signin = await ask("/me/signin/begin", {}); signinAt = Date.now(); }
    await compare("signin", signin.statement, signin.options);
    const credential = await get(signin.options), { signin: name } = signin;
    signin = null;
    await ask("/me/signin/finish", { signin: name, credential });
    await open();
  } catch (refused) {
    if (!refused.problem) throw refused;
    refuseBeside($("signin-trouble"), refused);
  }
}));

// ── home ──
async function open() {
  let answer, said;
  try {
    answer = await fetch("/me/state", { credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(20_000) });
    said = await answer.json();
  } catch { return offline() || toSignin(); }
  if (!answer.ok) return fail(new Refused(said), open);
  state = said;
  localStorage.setItem(KEPT, JSON.stringify({ card: state.card, at: state.now }));
  home();
}

addEventListener("online", () => { if (!$("stale").hidden) open(); });
/// The card as it was last seen; everything else needs the platform.
function offline() {
  const kept = JSON.parse(localStorage.getItem(KEPT) ?? "null");
  if (!kept) return false;
  face(kept.card);
  $("card").classList.add("old");
  const at = when(kept.at);
  say($("stale"), both(`通信できません。${at.ja} に確かめた内容です。いま有効かどうかは分かりません。`, `No connection. This is as of ${at.en}; whether it is valid now is not known.`));
  live(false);
  show("home");
  return true;
}
function live(is) {
  $("stale").hidden = is;
  $("card").classList.toggle("old", !is);
  $("card-clock").hidden = !is;
  $("key").hidden = !is;
  for (const part of document.querySelectorAll("[data-live]")) part.hidden = !is;
}

function face(card) {
  say($("card-qualification"), both(card.qualification, card.qualification_en));
  $("card-ja").textContent = card.name_ja ?? card.name;
  $("card-romaji").textContent = card.name_ja ? card.name : "";
  $("card-number").textContent = card.number;
  say($("card-expires"), when(card.expires));
  $("card-authority").textContent = card.authority;
  portrait($("card-photo"), card.photo);
}
const tick = () => {
  $("card-clock").textContent = new Intl.DateTimeFormat("ja-JP", { timeZone: "Asia/Tokyo", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(Date.now());
};
setInterval(tick, 1_000);
tick();

function home() {
  live(true);
  face(state.card);
  standing();
  $("sessions").replaceChildren(...state.sessions.map(session));
  if (!state.sessions.length) $("sessions").append(el("li", "hint", both("いま署名できる場所はありません。毎朝、端末のQRコードを読み取ると始まります。", "None. It begins when you scan a terminal’s QR code in the morning.")));
  $("notices").replaceChildren(...state.notices.slice(0, 12).map((notice) => {
    const where = notice.kind === "disputed" ? both(`：記録 ${notice.detail}`, `: entry ${notice.detail}`) : notice.detail ? both(`：${notice.detail}`, `: ${notice.detail}`) : both("", "");
    return el("li", notice.seen ? "" : "new", el("span", "", plus(NOTICES[notice.kind] ?? notice.kind, where)), el("small", "", when(notice.at)));
  }));
  if (!state.notices.length) $("notices").append(el("li", "hint", both("ありません", "None")));
  $("phone").textContent = state.phone?.label ?? "–";
  $("terms").hidden = !state.phone?.terms;
  $("terms").href = `/terms#${state.phone?.terms}`;
  $("to-stop").hidden = !state.key.usable;
  show("home");
  const newest = state.notices.find((notice) => !notice.seen);
  if (newest) act("/me/notices/seen", { number: newest.number }).catch(() => {});
}

function standing() {
  const { usable, stops, restartable } = state.key;
  if (usable) return $("key").replaceChildren(el("div", "stand", el("strong", "", both("鍵は使えます", "The key can be used"))));
  const why = stops.map((stop) => STOPS[stop] ?? both(stop, stop));
  const box = el("div", "stand off", el("strong", "", both("鍵は止まっています。署名はできません", "The key is stopped: nothing is signed")), ...why.map((text) => el("span", "", text)));
  if (restartable) box.append(step(both("鍵の利用を再開する", "Start the key again"), () => decide("restart"), "second"));
  else box.append(el("span", "", both("再開には、認証局の窓口への連絡が必要です。", "Call the authority’s desk to have it started again.")));
  $("key").replaceChildren(box);
}

function session(one) {
  const until = when(one.until), since = when(one.since);
  const end = step(both("終わらせる", "End it"), () => busy(end, async () => {
    try { await act("/me/session/end", { session: one.session }); await open(); } catch (refused) { fail(refused, open); }
  }), "second");
  end.prepend(el("span", "unseen", one.facility));
  return el("li", "item",
    el("strong", "", one.facility), el("span", "until", both(`${until.ja} まで`, `until ${until.en}`)),
    el("span", "hint", both(`${one.terminal}・${since.ja} に電話で承認`, `${one.terminal} · approved by phone ${since.en}`)),
    el("span", "", plus(...one.kinds.flatMap((kind, i) => i ? ["・", KINDS[kind] ?? kind] : [KINDS[kind] ?? kind]), both(`　署名 ${one.made} 件（${one.count} 件まで）`, ` · ${one.made} of ${one.count} signatures`))), end);
}

// ── history ──
let before, entries = [];
async function history(more) {
  const page = await act("/me/history", more && before ? { before } : {});
  entries = more ? entries.concat(page.entries) : page.entries;
  before = page.before;
  // A page may hold no signature at all: then the one before it is asked for as well.
  if (before && !$("all").checked && !entries.some((entry) => entry.event === "signature.made") && entries.length < 300) return history(true);
  list();
  if (!more) show("history");
}
function list() {
  const seen = entries.filter((entry) => $("all").checked || entry.event === "signature.made");
  $("entries").replaceChildren(...seen.map((entry) => {
    const row = el("div", "row", Object.assign(el("a", "second", both("証明", "Proof")), { href: `/me/proof/${entry.index}`, download: "" }));
    if (entry.disputed) row.append(el("span", "hint", both("申し出を受付済み", "Disowned")));
    else row.append(step(both("自分ではない", "Not me"), () => decide("dispute", entry), "second"));
    return el("li", entry.disputed ? "item bad-mark" : "item", el("strong", "", entry.kind ? plus(KINDS[entry.kind] ?? entry.kind, both(entry.event === "signature.made" ? "に署名" : `（${entry.event_ja}）`, entry.event === "signature.made" ? " signed" : ` (${entry.event})`)) : both(entry.event_ja, entry.event)),
      ...(entry.facility ? [el("span", "", entry.facility)] : []), el("span", "hint", plus(when(entry.at), both(`・記録 ${entry.index}`, ` · entry ${entry.index}`))), row);
  }));
  $("no-entries").hidden = seen.length > 0;
  $("older").hidden = !before;
}
/// Reads what stands on the page of her visit.
async function read(path) {
  const answer = await fetch(path, { credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(20_000) });
  const said = await answer.json();
  if (!answer.ok) throw new Refused(said);
  return said;
}
tried($("to-services"), () => services(read, act, fail));
tried($("to-history"), () => history(false));
tried($("older"), () => history(true));
$("all").addEventListener("change", list);

// ── deciding ──
const DECISIONS = {
  stop: { what: both("鍵を止めますか", "Stop your key?"), why: [both("止めた瞬間から、どの医療機関でも署名できなくなり、いま有効な認証はすべて終わります。", "From that moment nothing is signed anywhere, and whatever you allowed ends."), both("あなたが止めた鍵は、このページでいつでも再開できます。", "You can start it again here at any time.")],
    done: both("鍵を止めました", "The key is stopped"), more: both("いまから署名はできません。", "Nothing is signed from now on.") },
  restart: { what: both("鍵の利用を再開しますか", "Start your key again?"), why: [both("再開しても、止める前の承認は戻りません。署名するには、端末のQRコードをもう一度読み取ってください。", "What you had allowed before stays ended: scan the terminal’s QR code again to sign.")],
    done: both("鍵の利用を再開しました", "The key is started again"), more: both("署名するには、端末のQRコードを読み取ってください。", "Scan the terminal’s QR code to sign.") },
  loss: { what: both("この登録を終わらせますか", "Unregister the lost phone?"), why: [both("なくした電話では署名も認証もできなくなり、いま有効な認証はすべて終わります。", "The lost phone can neither sign nor authenticate, and whatever it allowed ends."), both("このページも閉じます。新しい電話を登録するには、認証局の窓口に登録用紙を申し込んでください。", "This page closes as well. Ask the authority’s desk for a sheet to register a new phone.")],
    done: both("紛失を受け付けました", "The loss is recorded"), more: both("この電話の登録は終わりました。登録用紙を窓口に申し込んでください。", "The phone is unregistered. Ask the desk for a new sheet."), last: true },
  dispute: { what: both("この署名はあなたではありませんか", "Was this signature not yours?"), why: [both("申し出は、取り消せない記録として台帳に残ります。調べるのは認証局の窓口です。あわせて窓口へお電話ください。", "Your word stays in the journal for good. The authority’s desk looks into it: call it as well.")],
    done: both("申し出を受け付けました", "Your word is recorded"), more: both("心配なときは、いますぐ鍵を止めてください。窓口にもお電話ください。", "If you are worried, stop your key now, and call the desk.") },
};
function decide(name, entry) {
  const words = DECISIONS[name];
  say($("decide-what"), words.what);
  const facts = entry ? [el("p", "notice", plus(entry.kind ? KINDS[entry.kind] ?? entry.kind : entry.event_ja, both("　", " "), entry.facility ?? "", both("　", " "), when(entry.at)))] : [];
  $("decide-why").replaceChildren(...facts, ...words.why.map((text) => el("p", "", text)));
  $("decide-who").textContent = state.card.display_id;
  $("decide-trouble").hidden = true;
  $("decide-go").className = name === "restart" ? "approve" : "refuse";
  after = async () => {
    const asked = await act("/me/act/begin", entry ? { act: name, index: entry.index } : { act: name });
    await approve(asked);
    say($("done-what"), words.done);
    say($("done-more"), words.more);
    if (words.last) forget();
    const next = words.last ? [] : [step(both("本人のページへ戻る", "Back to your page"), open, name === "dispute" ? "second" : "main")];
    if (name === "dispute" && state.key.usable) next.unshift(step(both("鍵を止める", "Stop the key"), () => decide("stop"), "refuse"));
    $("done-next").replaceChildren(...next);
    show("done");
  };
  show("decide");
}
/// A phone that is hers no more keeps nothing of her.
function forget() {
  localStorage.removeItem(KEPT);
  localStorage.removeItem("azukari-stream-key");
}
/// Her finger, over exactly what the platform says that she decides.
async function approve(asked) {
  await compare(asked.statement.type, asked.statement, asked.options);
  await act("/me/act/finish", { credential: await get(asked.options) });
}
async function beside(button, trouble, work) {
  trouble.hidden = true;
  await busy(button, async () => {
    try { await work(); } catch (refused) {
      if (!refused.problem) throw refused;
      if (refused.code.startsWith("passkey") || refused.code === "unreachable") refuseBeside(trouble, refused);
      else fail(refused, open);
    }
  });
}
$("decide-go").addEventListener("click", (event) => beside(event.currentTarget, $("decide-trouble"), () => after()));
$("decide-not").addEventListener("click", open);
$("to-stop").addEventListener("click", () => decide("stop"));
$("to-loss").addEventListener("click", () => decide("loss"));

// ── another phone ──
let changing = 0;
tried($("to-change"), async () => {
  const begun = await act("/me/change/begin", {});
  $("change-qr").innerHTML = begun.svg;
  $("change-opened").hidden = true;
  show("change");
  changing += 1;
  watch(changing);
});
async function watch(round) {
  while (round === changing) {
    await new Promise((on) => setTimeout(on, 1_500));
    if (round !== changing) return;
    let stands;
    try { stands = await act("/me/change", {}); } catch (refused) {
      if (refused.code === "unreachable") continue;
      return fail(refused, open);
    }
    if (stands.step === "opened") $("change-opened").hidden = false;
    if (stands.step === "offered") return offered(stands);
    if (["refused", "expired"].includes(stands.step)) return open();
  }
}
function offered(stands) {
  // From what will be signed, not from what we are told that it is.
  $("compare-code").textContent = shortCode(stands.ask.statement.credential).replace(/(.{4})/, "$1 ");
  $("compare-label").textContent = stands.label;
  $("compare-who").textContent = state.card.display_id;
  after = async () => {
    // Asked at this moment: the question stands for two minutes, reading may take longer.
    const now = await act("/me/change", {});
    if (now.step !== "offered" || now.code !== stands.code) return open();
    await approve(now.ask);
    say($("done-what"), both("新しい電話に替わりました", "You have moved to the new phone"));
    say($("done-more"), both("この電話では、もう署名も認証もできません。", "This phone can neither sign nor authenticate any more."));
    $("done-next").replaceChildren();
    forget();
    show("done");
  };
  show("compare");
}
$("compare-go").addEventListener("click", (event) => beside(event.currentTarget, $("compare-trouble"), () => after()));
for (const button of document.querySelectorAll("[data-unchange]")) tried(button, async () => { changing += 1; await act("/me/change/refuse", {}); await open(); });

// ── a terminal's QR code ──
let looking = new AbortController();
$("to-scan").addEventListener("click", async () => {
  looking.abort();
  const mine = looking = new AbortController();
  const told = (text) => { $("scan-trouble").hidden = !text; if (text) say($("scan-trouble"), text); };
  const can = await able();
  $("scan-video").hidden = !can;
  told(can ? null : both("このブラウザは、この画面でQRコードを読み取れません。スマートフォンに最初から入っている「カメラ」で読み取ってください。", "This browser cannot scan here. Use the phone’s own camera."));
  show("scan");
  if (!can) return;
  try {
    const address = await scan($("scan-video"), mine.signal, () => told(both("このサービスのQRコードではありません。端末に表示されたQRコードに向けてください。", "That is not a code of this service. Point at the terminal’s.")));
    if (address) location.assign(address);
  } catch (error) {
    $("scan-video").hidden = true;
    told(error.name === "NotAllowedError"
      ? both("カメラの使用が許可されていません。ブラウザの設定でこのサイトのカメラを許可するか、スマートフォンの「カメラ」で読み取ってください。", "The camera is not allowed here. Allow it for this site in the browser’s settings, or use the phone’s own camera.")
      : both("カメラを使えません。スマートフォンの「カメラ」で読み取ってください。", "The camera cannot be used here. Use the phone’s own camera."));
  }
});
addEventListener("pagehide", () => looking.abort());

// ── the card for somebody else's eyes ──
let showing = 0;
tried($("card-show"), async () => {
  showing += 1;
  const round = showing;
  await fresh();
  show("shown");
  for (let left = 29; round === showing; left -= 1) {
    await new Promise((on) => setTimeout(on, 1_000));
    if (round !== showing) return;
    if (left <= 0) { await fresh(); left = 30; }
    say($("card-left"), both(`あと${left}秒`, `${left} s`));
  }
});
async function fresh() { $("card-qr").innerHTML = (await act("/me/card", {})).svg; }

for (const button of document.querySelectorAll("[data-home]")) button.addEventListener("click", () => { showing += 1; looking.abort(); open(); });
tried($("signout"), async () => { await act("/me/signout", {}); state = undefined; localStorage.removeItem(KEPT); await toSignin(); });
navigator.serviceWorker?.register("/sw.js", { scope: "/me" }).catch(() => {});

/// A card at a reader opened this page: what stands in the fragment is good for a minute, and once.
async function byCard(ticket) {
  history.replaceState(null, "", location.pathname);
  try { await ask("/me/signin/card", { ticket }); } catch (refused) { return fail(refused, toSignin); }
  await open();
}
if (location.hash.startsWith("#c.")) byCard(location.hash.slice(3)); else open();
