// A new phone takes the place of the one that shows the QR: its key, and the old phone's approval.
import { ask } from "./ask.js";
import { ability, create } from "./passkey.js";
import { compare, terms } from "./statement.js";
import { $, both, busy, refuse, refuseBeside, say, secret, show, step } from "./page.js";

const sheet = secret();
let opened, made;

async function begin() {
  if (!sheet) return show("no-sheet");
  if (await ability() !== "ready") return show("no-lock");
  try {
    opened = await ask("/phone/change/open", { sheet: sheet.id, secret: sheet.secret });
    await compare("link", opened.statement, opened.options);
    const { ja, en } = await terms(opened.statement.termsHash);
    say($("terms"), both(ja, en));
    $("person").textContent = opened.person_display;
    $("label").value ||= /iPhone|iPod/.test(navigator.userAgent) ? "iPhone" : /Android/.test(navigator.userAgent) ? "Android" : "スマートフォン";
    show("confirm");
  } catch (refused) {
    if (!refused.problem) throw refused;
    const mine = refused.code === "phone-linked-here";
    refuse(refused, mine ? [step(both("本人のページへ", "To your page"), "/me")] : refused.code === "unreachable" ? [step(both("もう一度試す", "Try again"), begin)] : []);
  }
}

$("confirm-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const trouble = $("confirm-trouble");
  trouble.hidden = true;
  busy(event.submitter ?? $("confirm-form").querySelector("button"), async () => {
    try {
      made ??= await create(opened.options);
      const label = $("label").value.trim();
      const offered = await ask("/phone/change/offer", { session: opened.session, credential: made, ...(label && { label }) });
      $("code").textContent = offered.code.replace(/(.{4})/, "$1 ");
      show("waiting");
      await wait();
    } catch (refused) {
      if (!refused.problem) throw refused;
      if (refused.code.startsWith("passkey") || ["unreachable", "phone-name-malformed"].includes(refused.code)) refuseBeside(trouble, refused);
      else refuse(refused);
    }
  });
});

async function wait() {
  for (;;) {
    await new Promise((on) => setTimeout(on, 1_500));
    let stands;
    try { stands = await ask("/phone/change/stands", { session: opened.session }); } catch (refused) {
      if (refused.code === "unreachable") continue;
      throw refused;
    }
    if (stands.step === "done") {
      localStorage.setItem("azukari-stream-key", stands.stream_key);
      return show("done");
    }
    if (stands.step === "offered") continue;
    const over = stands.step === "expired";
    return refuse({ problem: over
      ? { code: "change-expired", title: "時間が過ぎました", advice: "いまお使いの電話の「機種変更」からやり直してください。", title_en: "It took too long", advice_en: "Begin again on your present phone." }
      : { code: "change-refused", title: "いまお使いの電話で、承認されませんでした", advice: "ご自分の操作なら、いまお使いの電話の「機種変更」からやり直してください。", title_en: "It was not approved on the present phone", advice_en: "If it was you, begin again on the present phone." } });
  }
}
begin();
