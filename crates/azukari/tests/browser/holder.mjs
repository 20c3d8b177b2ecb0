// The owner's page: her card, her sessions, what was signed; "not me"; stop, restart; another phone;
// loss; without a connection.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert, ehr, heading, look, morning as authenticate, phone, press, refused, register, scan, seen, signin, town, walk, weighs } from "./harness.mjs";

const [akiko] = town.newcomers;
const csv = readFileSync(join(process.env.AZUKARI_OUT, "prescription.csv")).toString("base64");
const sign = () => ehr("POST", "/v1/prescriptions", { staff: akiko.staff, csv });

const morning = (page) => authenticate(page, akiko.staff);
/// Presses a button of the home screen and waits for where it leads.
const go = async (page, name, to) => { await press(page, name); await heading(page, to); };

await walk(async () => {
  const hers = await phone();
  await hers.goto(`${town.platform}/me`);
  await heading(hers, "本人のページ");
  await look(hers, "a phone that is not known");
  await register(hers, akiko);

  // Signing in: her name before her finger; a finger that is not hers changes nothing.
  await hers.goto(`${town.platform}/me`);
  await hers.getByText("TEST100006").waitFor();
  await look(hers, "signing in");
  await hers.willing(false);
  await press(hers, "指紋・顔などでサインイン");
  await hers.getByText("指紋・顔などの確認が取り消されたか、時間切れになりました").waitFor();
  await look(hers, "not verified");
  await hers.willing(true);
  await signin(hers);
  await seen(hers, "いま署名できる場所はありません");
  // The card: name in kanji (not in this layout of certificate, but in the register), photograph.
  await seen(hers, "架空　秋子");
  const drawn = await hers.locator("#card-photo").evaluate((canvas) => [canvas.width, canvas.height, canvas.getContext("2d").getImageData(120, 150, 1, 1).data[3]]);
  assert.deepEqual(drawn, [240, 320, 255]);
  await hers.getByText("このページにサインインしました").waitFor();
  await look(hers, "home, nothing allowed");
  await weighs(hers);
  // It can be installed, and says which terms she agreed to.
  const { installabilityErrors } = await hers.wire.send("Page.getInstallabilityErrors");
  assert.deepEqual(installabilityErrors.filter(({ errorId }) => errorId !== "in-incognito"), []);
  const agreed = new URL(await hers.locator("#terms").getAttribute("href"), town.platform).hash.slice(1);
  assert.equal((await fetch(`${town.platform}/terms/${agreed}`)).status, 200);
  const cookies = await hers.context().cookies();
  const visit = cookies.find(({ name }) => name === "__Host-azukari-holder");
  assert.ok(visit.httpOnly && visit.secure && visit.sameSite === "Strict" && visit.path === "/");

  // A morning and two signatures: she sees where, until when and how many.
  assert.equal(await morning(hers), "released");
  for (const _ of [1, 2]) assert.equal((await sign()).status, 200);
  await hers.reload();
  await hers.getByText("署名 2 件（300 件まで）").waitFor();
  await seen(hers, town.facility.name ?? "テスト開発者用施設");
  await look(hers, "home with a session");
  await press(hers, "English");
  await hers.getByText("Where you can sign now").waitFor();
  await look(hers, "in English");
  await press(hers, "日本語");

  // What was signed; this one was not me.
  await go(hers, "署名の記録を見る", "署名の記録");
  await hers.locator("#entries li").nth(1).waitFor();
  assert.equal(await hers.locator("#entries li").count(), 2);
  await look(hers, "history");
  const [proof] = await Promise.all([hers.waitForEvent("download"), hers.getByRole("link", { name: "証明" }).first().click()]);
  assert.match(readFileSync(await proof.path(), "utf8"), /^c2sp.org\/tlog-proof@v1/);
  await hers.getByRole("button", { name: "自分ではない" }).first().click();
  await heading(hers, "この署名はあなたではありませんか");
  await look(hers, "not me");
  await press(hers, "指紋・顔などで承認する");
  await heading(hers, "申し出を受け付けました");
  await look(hers, "disowned");

  // She stops her key at once; the next signature is refused; she starts it again.
  await go(hers, "鍵を止める", "鍵を止めますか");
  await look(hers, "stop?");
  await press(hers, "指紋・顔などで承認する");
  await heading(hers, "鍵を止めました");
  const stopped = await sign();
  assert.notEqual(stopped.status, 200, JSON.stringify(stopped.body));
  await press(hers, "本人のページへ戻る");
  await hers.getByText("鍵は止まっています。署名はできません").waitFor();
  await look(hers, "stopped");
  assert.notEqual(await morning(hers), "released");
  await press(hers, "機種変更（電話を替える）");
  await refused(hers, "key-suspended");
  await look(hers, "no change of phones while stopped");
  await press(hers, "本人のページへ戻る");
  await go(hers, "鍵の利用を再開する", "鍵の利用を再開しますか");
  await look(hers, "restart?");
  await press(hers, "指紋・顔などで承認する");
  await heading(hers, "鍵の利用を再開しました");
  assert.equal(await morning(hers), "released");
  assert.equal((await sign()).status, 200);

  // She ends the session from her phone, with the keyboard alone.
  await press(hers, "本人のページへ戻る");
  const end = hers.getByRole("button", { name: /終わらせる/ });
  await end.waitFor();
  for (let i = 0; i < 40 && !await end.evaluate((it) => it === document.activeElement); i += 1) await hers.keyboard.press("Tab");
  await hers.keyboard.press("Enter");
  await hers.getByText("いま署名できる場所はありません").waitFor();
  assert.notEqual((await sign()).status, 200);

  // Somebody checks her card with another phone; a photograph of it is worth nothing a minute later.
  await go(hers, "QRコードで資格証を見せる", "相手のカメラで読み取ってもらってください");
  await look(hers, "the card's QR code");
  const code = await hers.evaluate(async () => (await (await import("/assets/phone/ask.js")).ask("/me/card", {}, { "x-azukari-csrf": (await (await fetch("/me/state")).json()).csrf })).qr);
  const other = await phone();
  await scan(other, code);
  await heading(other, "有効な資格証です");
  assert.equal(new URL(other.url()).hash, "");
  assert.ok(await other.locator("#valid canvas").isVisible(), "the checker sees the photograph");
  await seen(other, "架空　秋子");
  await look(other, "a valid card");
  await weighs(other);
  await scan(other, `${town.platform}/v#1.AAAAAAAAAAAAAAAAAAAAAA`);
  await refused(other, "card-code-unknown");
  await look(other, "not a card's code");
  await press(hers, "戻る");

  // Without a connection the card is there, and says how old it is.
  await hers.evaluate(() => navigator.serviceWorker.ready);
  await hers.reload();
  await hers.locator("#card").waitFor();
  await hers.context().setOffline(true);
  await hers.reload();
  await hers.getByText("通信できません。").waitFor();
  await hers.locator("#card-photo").waitFor();
  await look(hers, "offline");
  await hers.context().setOffline(false);

  // Another phone: both show the same characters, and then the old one is nobody's.
  await signinIfAsked(hers);
  const [begun] = await Promise.all([hers.waitForResponse("**/me/change/begin"), press(hers, "機種変更（電話を替える）")]);
  await heading(hers, "新しい電話のカメラで読み取ってください");
  await look(hers, "the QR code for the new phone");
  const fresh = await phone();
  await scan(fresh, `${town.platform}/n`);
  await heading(fresh, "いまお使いの電話のQRコードを読み取ってください");
  await scan(fresh, (await begun.json()).qr);
  await heading(fresh, "この電話に替えます");
  assert.equal(new URL(fresh.url()).hash, "");
  await seen(fresh, "TEST100006");
  await look(fresh, "the new phone");
  await weighs(fresh);
  await fresh.getByLabel("この電話の名前").fill("秋子の新しい電話");
  await press(fresh, "指紋・顔などで登録する");
  await heading(fresh, "いまお使いの電話で承認してください");
  await heading(hers, "同じ文字が新しい電話に出ていますか");
  assert.equal(await hers.locator("#compare-code").innerText(), await fresh.locator("#code").innerText());
  await look(fresh, "waiting");
  await look(hers, "compare");
  await press(hers, "同じなので承認");
  await heading(hers, "新しい電話に替わりました");
  await look(hers, "the old phone is nobody's");
  await heading(fresh, "この電話に替わりました");
  await look(fresh, "the new phone is hers");
  assert.equal(await morning(hers), "phone-not-linked");
  assert.equal(await morning(fresh), "released");
  await signin(fresh);
  await seen(fresh, "新しい電話に替わりました");
  await look(fresh, "home on the new phone");

  // A cleared browser is known again by its passkey.
  await fresh.context().clearCookies();
  await fresh.goto(`${town.platform}/me`);
  await signin(fresh);
  assert.equal(await morning(fresh), "released");

  // She reports that phone as lost: nothing goes on with it.
  await go(fresh, "電話の紛失・盗難を届ける", "この登録を終わらせますか");
  await look(fresh, "loss?");
  await press(fresh, "指紋・顔などで承認する");
  await heading(fresh, "紛失を受け付けました");
  await look(fresh, "lost");
  assert.notEqual((await sign()).status, 200);
  assert.equal(await morning(fresh), "phone-not-linked");
});

async function signinIfAsked(page) {
  await page.reload();
  await page.getByRole("button", { name: /指紋・顔などでサインイン|機種変更/ }).first().waitFor();
  if (await page.locator("#signin").isVisible()) await signin(page);
}
