// The desk: an officer signs in, looks at a holder, and approves each act with her passkey. Secrets
// (the sign-in's token, a sheet's QR code) live in this page's memory alone.
import { ask, refusal } from "./ask.js";
import { $, both, busy, refuse, refuseBeside, say, secret, show, step, when } from "./page.js";
import { create, get } from "./passkey.js";
import { compare } from "./statement.js";

const invitation = secret();
let csrf, chosen;

const ACTS = {
  loss: { title: both("電話の紛失の届出", "Report a lost phone"), kind: "refuse",
    means: both("あなた一人の承認で、登録されている電話はすぐに使えなくなり、開いているセッションはすべて終わります。鍵は残ります。電話が戻っても、登録し直しが必要です。",
      "By your approval alone: the phone is unlinked at once and all sessions end. The key stays. A phone that is found again has to be registered anew.") },
  suspend: { title: both("鍵の停止", "Suspend the key"), kind: "refuse",
    means: both("あなた一人の承認で、この鍵はすぐに何にも署名しなくなります。再開には窓口係が二人要ります。",
      "By your approval alone this key signs nothing from now. Starting it again takes two officers.") },
  resume: { title: both("鍵の再開", "Lift the suspension"), kind: "second",
    means: both("窓口係二人の承認で、窓口がした停止を解きます。本人がした停止は残ります。",
      "Two officers lift the desk's own suspension. A stop by the owner herself stays.") },
  session: { title: both("認証を終わらせる", "End a session"), kind: "refuse",
    means: both("あなた一人の承認で、この医療機関での認証はすぐに終わります。電話と鍵はそのままで、本人はもう一度認証できます。",
      "By your approval alone this session ends at once. Phone and key stay, and the holder can authenticate again.") },
  sheet: { title: both("初期登録用紙の発行", "Issue a registration sheet"), kind: "second",
    means: both("窓口係二人の承認で、新しい用紙を発行します。前の用紙は使えなくなります。用紙は、二人目の画面に一度だけ出ます。",
      "Two officers issue a new sheet; earlier ones are void. It is shown once, to the second officer.") },
};
const STATES = { held: both("使えます", "in use"), suspended: both("停止中", "stopped"), generated: both("証明書を待っています", "no certificate yet"), certified: both("準備中", "being prepared"), destroyed: both("廃棄済み", "destroyed") };
const STOPS = { owner: both("本人", "its owner"), desk: both("窓口", "the desk"), revoked: both("証明書の失効", "revocation"), expired: both("有効期限切れ", "expiry"), "self-check": both("署名の自己検査", "a failed self-check") };
const SHEETS = { issued: both("発行済み（未使用）", "issued, not used"), opened: both("QRを読み取り済み", "QR scanned"), proven: both("生年月日まで確認済み", "birth date given"), used: both("使用済み", "used"), locked: both("生年月日を5回間違えたため使用不可", "locked after five wrong birth dates"), revoked: both("新しい用紙により無効", "void: a newer one was issued"), void: both("証明書の失効により無効", "void: the certificate was revoked") };

const call = (path, body = {}) => ask(`/desk/${path}`, body, csrf ? { "x-azukari-csrf": csrf } : {});

function element(name, text, kind) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text?.ja !== undefined) say(made, text);
  else if (text !== undefined) made.textContent = text;
  return made;
}

function facts(list, pairs) {
  list.replaceChildren(...pairs.map(([name, value]) => {
    const line = element("div"), said = value instanceof Node ? element("dd") : element("dd", value);
    if (value instanceof Node) said.append(value);
    line.append(element("dt", name), said);
    return line;
  }));
  return list;
}

/// What went wrong, on a screen of its own; without a sign-in there is one way on.
function fail(refused) {
  if (!refused.problem) throw refused;
  const signed = !["desk-closed", "desk-forged"].includes(refused.code);
  refuse(refused, [step(signed && csrf ? both("窓口に戻る", "Back to the desk") : both("サインインへ", "Sign in"), () => (signed && csrf ? open() : leave()))]);
}

const told = (act) => act().catch(fail);

async function open(said) {
  const state = await call("state");
  csrf = state.officer.csrf;
  $("officer").textContent = state.officer.name;
  $("officers").textContent = state.officers.join("、");
  $("none-waiting").hidden = state.waiting.length > 0;
  $("waiting").replaceChildren(...state.waiting.map(waits));
  $("found").replaceChildren();
  $("said").hidden = !said;
  if (said) { $("said").className = "good"; say($("said"), said); }
  show("desk");
}

function waits(order) {
  const card = element("li", undefined, "card");
  card.append(element("h3", ACTS[order.act].title), facts(element("dl", undefined, "facts"), [
    [both("本人ID", "Personal ID"), order.display_id],
    [both("理由", "Reason"), order.reason],
    [both("申請した係員", "Opened by"), order.officers.join("、")],
    [both("期限", "Until"), when(order.until)],
  ]));
  if (order.own) card.append(element("p", both("あなたが申請しました。別の係員の確認を待っています。", "You opened it; another officer confirms it."), "hint"));
  else card.append(step(both("内容を確かめて承認する", "Look at it and approve"), () => choose({ order: order.order, ...order }), "second"));
  return card;
}

function actLine(order) {
  const open = order.outcome === "" && order.until * 1000 > Date.now();
  const end = { "": open ? both("確認待ち", "waiting") : both("期限切れ", "expired"), done: both("完了", "done"), decided: both("実行中", "being carried out") }[order.outcome] ?? both(`実行できず（${order.outcome}）`, `not carried out (${order.outcome})`);
  const line = element("li"), at = when(order.opened), { title } = ACTS[order.act];
  say(line, both(`${at.ja}　${title.ja}　${order.officers.join("、")}　${end.ja}　「${order.reason}」`, `${at.en} · ${title.en} · ${order.officers.join(", ")} · ${end.en} · “${order.reason}”`));
  return line;
}

function listed(card, title, items, none) {
  card.append(element("h3", title));
  if (!items.length) return card.append(element("p", none, "hint"));
  const list = element("ul");
  list.append(...items);
  card.append(list);
}

function shown(holder) {
  const card = element("article", undefined, "card"), head = element("h2", holder.name ?? holder.display_id);
  head.append(element("small", holder.display_id), element("small", holder.qualification ?? ""));
  const stops = holder.stops.map((stop) => STOPS[stop] ?? both(stop, stop));
  const state = STATES[holder.state] ?? both(holder.state, holder.state);
  const by = (tag) => stops.length ? `（${stops.map((stop) => stop[tag]).join("、")}）` : "";
  const means = [
    [both("鍵", "Key"), element("span", both(state.ja + by("ja"), state.en + by("en")), holder.state === "held" ? "state" : "state stopped")],
    [both("証明書の期限", "Certificate until"), holder.not_after ? when(holder.not_after) : both("なし", "none")],
    [both("登録されている電話", "Linked phone"), holder.phone_linked ? both(`${holder.phone_label}（${when(holder.phone_linked).ja} から${holder.phone_synced ? "・ほかの機器と同期あり" : ""}）`, `${holder.phone_label} (since ${when(holder.phone_linked).en}${holder.phone_synced ? ", synced" : ""})`) : both("なし", "none")],
    [both("登録用紙", "Sheet"), both(`${SHEETS[holder.sheet].ja}（${when(holder.sheet_until).ja} まで）`, `${SHEETS[holder.sheet].en} (until ${when(holder.sheet_until).en})`)],
  ];
  card.append(head, facts(element("dl", undefined, "facts"), means));
  listed(card, both("開いているセッション", "Open sessions"), holder.sessions.map((one) => {
    const line = element("li", both(
      `${one.facility_name}　${one.terminal}　${when(one.since).ja} から ${when(one.until).ja} まで`, `${one.facility_name} · ${one.terminal} · ${when(one.since).en} – ${when(one.until).en}`));
    const end = step(both("この認証を終わらせる", "End this session"), () => choose({ ...holder, act: "session", session: one.session, facility: one.facility_name }), "small");
    end.append(element("span", `（${one.facility_name}）`, "unseen"));
    line.append(" ", end);
    return line;
  }), both("ありません。", "None."));
  if (holder.disputes.length) listed(card, both("本人が「自分ではない」と申し出た記録", "Entries that the holder disowned"), holder.disputes.map((one) => element("li", both(
    `記録 ${one.index}　${one.event}　${one.facility ? `医療機関 ${one.facility}　` : ""}${when(one.at).ja}（${when(one.said).ja} に申し出）`, `entry ${one.index} · ${one.event} · ${one.facility ? `institution ${one.facility} · ` : ""}${when(one.at).en} (said ${when(one.said).en})`), "disowned")), both("", ""));
  listed(card, both("窓口がした手続", "What the desk did"), holder.acts.map(actLine), both("ありません。", "None."));
  const possible = [];
  if (holder.phone_linked) possible.push("loss");
  else if (holder.state === "held") possible.push("sheet");
  if (holder.state !== "destroyed" && !holder.stops.includes("desk")) possible.push("suspend");
  if (holder.stops.includes("desk")) possible.push("resume");
  const buttons = element("div", undefined, "acts");
  buttons.append(...possible.map((act) => step(ACTS[act].title, () => choose({ ...holder, act }), ACTS[act].kind)));
  card.append(buttons, element("p", `${holder.key}`, "number-of"));
  return card;
}

async function find(event) {
  event.preventDefault();
  const trouble = $("find-trouble");
  trouble.hidden = true;
  $("said").hidden = true;
  $("found").replaceChildren();
  try {
    const { holders } = await call("find", { text: $("text").value.normalize("NFKC").trim() });
    $("found").replaceChildren(...holders.map(shown));
  } catch (refused) {
    if (refused.code !== "holder-unknown") return fail(refused);
    refuseBeside(trouble, refused);
    $("text").focus();
  }
}

/// Before the officer's finger: what, whose, why, and what follows.
function choose(asked) {
  chosen = asked;
  const act = ACTS[asked.act], confirms = Boolean(asked.order);
  say($("act-title"), act.title);
  say($("act-means"), act.means);
  const pairs = [[both("本人ID", "Personal ID"), asked.display_id]];
  if (asked.name) pairs.push([both("氏名", "Name"), asked.name]);
  if (asked.facility) pairs.push([both("医療機関", "Institution"), asked.facility]);
  if (confirms) pairs.push([both("申請した係員", "Opened by"), asked.officers.join("、")], [both("理由", "Reason"), asked.reason]);
  facts($("act-facts"), pairs);
  $("reason-part").hidden = confirms;
  $("reason").value = "";
  $("act-trouble").hidden = true;
  show("act");
}

async function approve(event) {
  event.preventDefault();
  const trouble = $("act-trouble"), reason = chosen.order ? chosen.reason : $("reason").value.trim();
  trouble.hidden = true;
  if (!reason) {
    refuseBeside(trouble, refusal("", "理由を書いてください", "誰からの申出で、本人とどう確かめたかを短く書きます。", "Write a reason", "Who asked, and how you made sure."));
    return $("reason").focus();
  }
  try {
    const asked = await call("act/begin", chosen.order ? { order: chosen.order } : { act: chosen.act, key: chosen.key, reason, session: chosen.session ?? null });
    const { statement } = asked;
    await compare("desk", statement, asked.options);
    if (statement.act !== chosen.act || statement.key !== chosen.key || statement.reason !== reason.normalize("NFC") || (statement.session ?? null) !== (chosen.session ?? null)) {
      throw refusal("phone-statement-differs", "署名するものが、表示された内容と違います", "承認せず、運用者へお知らせください。", "What would be signed is not what was shown", "Do not approve, and tell the operator.");
    }
    done(await call("act/finish", { credential: await get(asked.options) }));
  } catch (refused) {
    if (["passkey-cancelled", "passkey-failed", "desk-text-malformed"].includes(refused.code)) refuseBeside(trouble, refused);
    else fail(refused);
  }
}

function done({ act, ended, sheet }) {
  if (sheet) return paper(sheet);
  const { title } = ACTS[act.act], name = act.display_id;
  if (act.outcome === "") return told(() => open(both(`${name} の「${title.ja}」を申請しました。別の係員の確認を待っています。`, `“${title.en}” for ${name} is waiting for another officer.`)));
  const more = ended ? both(`セッションを ${ended} 件終わらせました。`, `${ended} sessions were ended.`) : both("", "");
  return told(() => open(both(`${name} の「${title.ja}」を行いました。${more.ja}`, `“${title.en}” for ${name} is done. ${more.en}`)));
}

function paper(sheet) {
  const drawing = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  $("sheet-qr").setAttribute("viewBox", `0 0 ${sheet.qr_side} ${sheet.qr_side}`);
  $("sheet-qr").replaceChildren(drawing("path", { fill: "#fff", d: `M0 0h${sheet.qr_side}v${sheet.qr_side}H0z` }), drawing("path", { d: sheet.qr_path }));
  $("sheet-name").textContent = sheet.name ? `${sheet.name} 様` : "";
  $("sheet-id").textContent = sheet.display_id;
  $("sheet-until").textContent = when(sheet.expires).ja;
  $("sheet-contact").textContent = sheet.contact;
  show("sheet");
}

function leave() {
  csrf = undefined;
  for (const id of ["found", "waiting", "sheet-qr"]) $(id).replaceChildren();
  show("sign-in");
}

async function enter() {
  const asked = await call("sign-in/begin");
  await compare("desk-signin", asked.statement, asked.options);
  const officer = await call("sign-in/finish", { ceremony: asked.ceremony, credential: await get(asked.options) });
  csrf = officer.csrf;
  $("enrolled").hidden = true;
  await open();
}

async function enrol() {
  const secrets = { invitation: invitation.id, secret: invitation.secret };
  const asked = await call("enrol/begin", secrets);
  await compare("officer", asked.statement, asked.options);
  await call("enrol/finish", { ...secrets, credential: await create(asked.options) });
  $("enrolled").hidden = false;
  show("sign-in");
}

async function begin() {
  if (invitation) {
    const asked = await call("enrol/begin", { invitation: invitation.id, secret: invitation.secret });
    $("invited-name").textContent = asked.statement.name;
    return show("invited");
  }
  try { await open(); } catch (refused) {
    if (refused.code !== "desk-closed") throw refused;
    show("sign-in");
  }
}

const on = (id, act) => $(id).addEventListener("click", () => busy($(id), () => told(act)));
on("enrol", enrol);
on("enter", enter);
on("leave", async () => { await call("sign-out"); leave(); });
$("find-form").addEventListener("submit", (event) => busy($("find-form").querySelector("button"), () => find(event)));
$("act-form").addEventListener("submit", (event) => busy($("act-do"), () => approve(event)));
on("act-back", () => open());
on("sheet-back", async () => { $("sheet-qr").replaceChildren(); await open(); });
$("print").addEventListener("click", () => print());
told(begin);
