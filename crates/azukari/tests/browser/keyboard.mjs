// Every flow by keys alone: registration, the morning with its three digits, documents, the owner's
// acts, a change of phones, the desk. Nothing here touches a screen.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert, ehr, heading, keyed, look, phone, scan, tabTo, terminal, town, typed, walk } from "./harness.mjs";

const [akiko] = town.newcomers;
const csv = readFileSync(join(process.env.AZUKARI_OUT, "prescription.csv")).toString("base64");
const sign = async () => (await ehr("POST", "/v1/prescriptions", { staff: akiko.staff, csv })).status;

async function authenticate(hers, desk) {
  const { body } = await ehr("POST", `/v1/staff/${akiko.staff}/authentication`, { terminal: town.facility.terminal });
  await desk.goto("about:blank");
  await desk.goto(body.page);
  await scan(hers, body.qr);
  await heading(hers, "この内容で署名を許可しますか");
  await keyed(hers, "承認する");
}
async function officer({ invitation }) {
  const page = await phone();
  await page.setViewportSize({ width: 1000, height: 900 });
  await scan(page, invitation);
  await heading(page, "窓口係として登録します");
  await keyed(page, "パスキーを作って登録する");
  await page.getByText("窓口係として登録されました。").waitFor();
  await keyed(page, "パスキーでサインイン");
  await page.locator("#desk").waitFor();
  return page;
}
async function find(page, text) {
  await typed(page, page.locator("#text"), text);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 2 }).filter({ hasText: text }).waitFor();
}
async function act(page, button, name = button) {
  await keyed(page, button);
  await heading(page, name);
  await typed(page, page.locator("#reason"), "本人から電話。本人IDを確認");
  await keyed(page, "パスキーで承認する");
}

await walk(async () => {
  const hers = await phone(), desk = await terminal();

  // Registration. The first key of each page leads past its head.
  await scan(hers, akiko.sheet);
  await heading(hers, "生年月日を入力してください");
  await hers.keyboard.type(akiko.birth_date);
  await hers.keyboard.press("Enter");
  await heading(hers, "本人IDと規約を確かめてください");
  await tabTo(hers, hers.locator("#terms"));
  assert.ok(await hers.locator("#terms").evaluate((it) => it.scrollHeight > it.clientHeight), "the terms are scrolled by keys");
  await look(hers, "the terms by keys");
  await typed(hers, hers.getByLabel("このスマートフォンの名前"), "秋子の電話");
  await tabTo(hers, hers.getByRole("checkbox"));
  await hers.keyboard.press("Space");
  await keyed(hers, "指紋・顔などで登録する");
  await heading(hers, "登録が完了しました");

  // The morning: approve, three digits at the terminal; refusing and a new code.
  await authenticate(hers, desk);
  await heading(hers, "この数字を端末に入力してください");
  await desk.getByLabel("3桁の数字").waitFor();
  await desk.keyboard.type(await hers.locator("#digits").innerText());
  await desk.keyboard.press("Enter");
  await heading(desk, "認証に成功しました");
  assert.equal(await sign(), 200);
  const { body: asked } = await ehr("POST", `/v1/staff/${akiko.staff}/authentication`, { terminal: town.facility.terminal });
  await desk.goto("about:blank");
  await desk.goto(asked.page);
  await scan(hers, asked.qr);
  await heading(hers, "この内容で署名を許可しますか");
  await keyed(hers, "拒否する");
  await heading(hers, "拒否しました");
  await heading(desk, "スマートフォンで拒否されました");
  await keyed(desk, "新しいQRコードを表示する");
  await heading(desk, "登録したスマートフォンのカメラで読み取ってください");

  // Documents.
  const { body: papers } = await ehr("POST", `/v1/staff/${akiko.staff}/approvals`, { terminal: town.facility.terminal, documents: [{ kind: "prescription", csv }] });
  await desk.goto("about:blank");
  await desk.goto(papers.page);
  await scan(hers, papers.qr);
  await heading(hers, "この文書への署名を承認しますか");
  await keyed(hers, "承認する");
  await heading(hers, "承認しました");
  await heading(desk, "承認され、署名されました");

  // Her own page: sign in, history and "not me", stop and restart, the card, scanning, the language.
  await hers.goto(`${town.platform}/me`);
  await heading(hers, "本人のページ");
  await keyed(hers, "指紋・顔などでサインイン");
  await hers.locator("#card").waitFor();
  await keyed(hers, "署名の記録を見る");
  await heading(hers, "署名の記録");
  await tabTo(hers, hers.getByRole("checkbox"));
  await hers.keyboard.press("Space");
  await hers.getByText("電話の登録").first().waitFor();
  await hers.keyboard.press("Space");
  await keyed(hers, "自分ではない");
  await heading(hers, "この署名はあなたではありませんか");
  await keyed(hers, "指紋・顔などで承認する");
  await heading(hers, "申し出を受け付けました");
  await keyed(hers, "本人のページへ戻る");
  await hers.locator("#card").waitFor();
  await keyed(hers, "端末のQRコードを読み取る");
  await heading(hers, "端末のQRコードを読み取ります");
  await keyed(hers, "戻る");
  await hers.locator("#card").waitFor();
  await keyed(hers, "QRコードで資格証を見せる");
  await heading(hers, "相手のカメラで読み取ってもらってください");
  await keyed(hers, "戻る");
  await hers.locator("#card").waitFor();
  await keyed(hers, "鍵を止める");
  await heading(hers, "鍵を止めますか");
  await look(hers, "stop? by keys");
  await keyed(hers, "やめる");
  await hers.locator("#card").waitFor();
  await keyed(hers, "鍵を止める");
  await heading(hers, "鍵を止めますか");
  await keyed(hers, "指紋・顔などで承認する");
  await heading(hers, "鍵を止めました");
  assert.notEqual(await sign(), 200);
  await keyed(hers, "本人のページへ戻る");
  await hers.locator("#card").waitFor();
  await keyed(hers, "鍵の利用を再開する");
  await heading(hers, "鍵の利用を再開しますか");
  await keyed(hers, "指紋・顔などで承認する");
  await heading(hers, "鍵の利用を再開しました");
  await authenticate(hers, desk);
  await heading(hers, "認証に成功しました");
  await heading(desk, "認証に成功しました");
  assert.equal(await sign(), 200);
  await hers.goto(`${town.platform}/me`);
  await hers.locator("#card").waitFor();
  await keyed(hers, "終わらせる");
  await hers.getByText("いま署名できる場所はありません").waitFor();
  await keyed(hers, "English");
  await hers.getByText("Where you can sign now").waitFor();
  await keyed(hers, "日本語");

  // Another phone.
  const [begun] = await Promise.all([hers.waitForResponse("**/me/change/begin"), keyed(hers, "機種変更")]);
  await heading(hers, "新しい電話のカメラで読み取ってください");
  const fresh = await phone();
  await scan(fresh, (await begun.json()).qr);
  await heading(fresh, "この電話に替えます");
  await keyed(fresh, "利用規約");
  await fresh.locator("#terms").waitFor();
  await look(fresh, "the new phone by keys, with the terms");
  await typed(fresh, fresh.getByLabel("この電話の名前"), "新しい電話");
  await fresh.keyboard.press("Enter");
  await heading(fresh, "いまお使いの電話で承認してください");
  await heading(hers, "同じ文字が新しい電話に出ていますか");
  await keyed(hers, "同じなので承認");
  await heading(hers, "新しい電話に替わりました");
  await heading(fresh, "この電話に替わりました");
  await keyed(fresh, "本人のページへ");
  await heading(fresh, "本人のページ");

  // The desk: an officer ends one session.
  await authenticate(fresh, desk);
  await heading(fresh, "認証に成功しました");
  await heading(desk, "認証に成功しました");
  assert.equal(await sign(), 200);
  const one = await officer(town.desk[0]), two = await officer(town.desk[1]);
  await find(one, akiko.display_id);
  await act(one, "この認証を終わらせる", "認証を終わらせる");
  await one.getByText("の「認証を終わらせる」を行いました。").waitFor();
  assert.notEqual(await sign(), 200);
  // She reports that phone as lost; two officers issue a sheet.
  await fresh.goto(`${town.platform}/me`);
  await heading(fresh, "本人のページ");
  await keyed(fresh, "指紋・顔などでサインイン");
  await fresh.locator("#card").waitFor();
  await keyed(fresh, "電話の紛失・盗難を届ける");
  await heading(fresh, "この登録を終わらせますか");
  await keyed(fresh, "指紋・顔などで承認する");
  await heading(fresh, "紛失を受け付けました");
  await find(one, akiko.display_id);
  await act(one, "初期登録用紙の発行");
  await one.getByText("別の係員の確認を待っています。").first().waitFor();
  await two.reload();
  await keyed(two, "内容を確かめて承認する");
  await heading(two, "初期登録用紙の発行");
  await keyed(two, "パスキーで承認する");
  await heading(two, "初期登録用紙を印刷してください");
  await keyed(two, "印刷したので窓口に戻る");
  await heading(two, "認証局の窓口");
  await keyed(two, "窓口を離れる");
  await two.locator("#sign-in").waitFor();
});
