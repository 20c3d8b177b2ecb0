// The authority's desk: two officers enrol, one records a lost phone and stops a key, both together
// issue a sheet and lift the stop.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { act, assert, confirm, ehr, find, heading, look, morning, officer, phone, press, refused, register, scan, seen, signin, town, walk, weighs } from "./harness.mjs";

const [akiko] = town.newcomers;
const LOSS = "電話の紛失の届出", SHEET = "初期登録用紙の発行", STOP = "鍵の停止", RESUME = "鍵の再開";

await walk(async () => {
  const stranger = await phone();
  await scan(stranger, `${town.platform}/desk`);
  await heading(stranger, "認証局の窓口");
  await look(stranger, "nobody is signed in");
  await weighs(stranger);
  await press(stranger, "パスキーでサインイン");
  await stranger.getByRole("heading", { level: 1 }).filter({ hasText: "指紋・顔など" }).waitFor();
  await look(stranger, "a passkey that is none");

  const one = await officer(town.desk[0], look), two = await officer(town.desk[1]);
  await look(one, "the desk");
  await weighs(one);
  await scan(stranger, town.desk[0].invitation);
  await heading(stranger, "この招待は使用済みです");
  await refused(stranger, "invitation-used");
  await look(stranger, "an invitation used twice");
  // What only the page of the sign-in knows is missing, or was given to another.
  const forged = await one.evaluate(async () => {
    const answer = await fetch("/desk/find", { method: "POST", headers: { "content-type": "application/json" }, body: "{\"text\":\"TEST100006\"}" });
    return [answer.status, (await answer.json()).code];
  });
  assert.deepEqual(forged, [403, "desk-forged"]);
  const cookie = (await one.context().cookies()).find(({ name }) => name === "__Host-azukari-desk");
  assert.ok(cookie.httpOnly && cookie.secure && cookie.sameSite === "Strict" && cookie.path === "/");

  // A lost phone is one officer's to record.
  const hers = await phone();
  await register(hers, akiko);
  // She signs in the morning, and disowns one signature: the desk sees which.
  assert.equal(await morning(hers, akiko.staff), "released");
  const csv = readFileSync(join(process.env.AZUKARI_OUT, "prescription.csv")).toString("base64");
  const sign = async () => (await ehr("POST", "/v1/prescriptions", { staff: akiko.staff, csv })).status;
  assert.equal(await sign(), 200);
  await signin(hers);
  await press(hers, "署名の記録を見る");
  await press(hers, "自分ではない");
  await press(hers, "指紋・顔などで承認する");
  await heading(hers, "申し出を受け付けました");
  // An officer ends this one session; phone and key stay.
  await find(one, akiko.display_id);
  await one.getByText("本人が「自分ではない」と申し出た記録").waitFor();
  await seen(one, "署名");
  await look(one, "a holder with a session, who disowned a signature");
  await act(one, "認証を終わらせる", "この認証を終わらせる");
  await one.getByText("の「認証を終わらせる」を行いました。").waitFor();
  assert.notEqual(await sign(), 200);
  await hers.goto(`${town.platform}/me`);
  await hers.getByText("認証局の窓口が認証を終わらせました").waitFor();
  await seen(hers, "いま署名できる場所はありません");
  await look(hers, "her page after the desk ended a session");
  assert.equal(await morning(hers, akiko.staff), "released");

  await find(one, "TEST999999");
  await one.getByText("この本人IDまたは番号の方は見つかりません").waitFor();
  await look(one, "nobody of that number");
  await find(one, akiko.display_id);
  await one.getByRole("heading", { level: 2 }).filter({ hasText: akiko.display_id }).waitFor();
  await seen(one, "使えます");
  await look(one, "a holder");
  await press(one, LOSS);
  await heading(one, LOSS);
  await press(one, "パスキーで承認する");
  await one.getByText("理由を書いてください").waitFor();
  await one.getByLabel("理由（誰から、どう確かめたか）").fill("本人から電話。生年月日と本人IDを確認");
  await one.willing(false);
  await press(one, "パスキーで承認する");
  await one.getByText("指紋・顔などの確認が取り消されたか、時間切れになりました").waitFor();
  await look(one, "before approving, not verified");
  await one.willing(true);
  await press(one, "パスキーで承認する");
  await one.getByText(`${akiko.display_id} の「${LOSS}」を行いました。`).waitFor();
  await look(one, "a loss recorded");
  await find(one, akiko.display_id);
  await one.getByText("初期登録用紙の発行").first().waitFor();
  assert.equal(await one.getByRole("button", { name: LOSS }).count(), 0);

  // A sheet takes two, and not twice the same.
  await act(one, SHEET);
  await one.getByText("別の係員の確認を待っています。").first().waitFor();
  await seen(one, "あなたが申請しました");
  assert.equal(await one.getByRole("button", { name: "内容を確かめて承認する" }).count(), 0);
  await look(one, "waiting for another officer");
  await two.reload();
  await two.getByRole("button", { name: "内容を確かめて承認する" }).waitFor();
  await look(two, "another's act");
  const { sheet } = await confirm(two, SHEET);
  await heading(two, "初期登録用紙を印刷してください");
  await seen(two, akiko.display_id);
  await look(two, "the sheet");
  await two.emulateMedia({ media: "print" });
  await two.setViewportSize({ width: 794, height: 1123 });
  assert.equal(await two.getByRole("button", { name: "印刷する" }).count(), 0, "buttons are not printed");
  await look(two, "the sheet as printed");
  await two.emulateMedia({ media: null });
  await two.setViewportSize({ width: 1000, height: 900 });
  assert.ok(!(await two.content()).includes(sheet.url.split("#")[1]), "the secret stands in no text");
  await press(two, "印刷したので窓口に戻る");
  await heading(two, "認証局の窓口");
  assert.equal(await two.locator("#sheet-qr path").count(), 0);
  // The old sheet is void; the new one links another phone.
  const another = await phone();
  await scan(another, akiko.sheet);
  await another.locator("#refused").waitFor();
  await register(another, { ...akiko, sheet: sheet.url });

  // By keyboard alone: one officer stops the key, and it takes another to start it again.
  await find(one, akiko.display_id);
  await one.getByRole("button", { name: STOP }).focus();
  await one.keyboard.press("Enter");
  await heading(one, STOP);
  await one.keyboard.press("Tab");
  await one.keyboard.type("なりすましの疑い");
  await one.keyboard.press("Enter");
  await one.getByText(`${akiko.display_id} の「${STOP}」を行いました。`).waitFor();
  await find(one, akiko.display_id);
  await one.getByText("停止中（窓口）").waitFor();
  await look(one, "a stopped key");
  await act(one, RESUME);
  await one.getByText("別の係員の確認を待っています。").first().waitFor();
  const { act: resumed } = await confirm(two, RESUME);
  assert.equal(resumed.outcome, "done");
  await find(two, akiko.display_id);
  await two.getByText("使えます").waitFor();
  await press(two, "English");
  await seen(two, "What the desk did");
  await look(two, "in English, everything that was done");

  // On a narrow screen, and after leaving.
  await two.setViewportSize({ width: 390, height: 844 });
  await look(two, "narrow");
  await press(two, "Leave the desk");
  await heading(two, "The authority's desk");
  await two.reload();
  await heading(two, "The authority's desk");
  assert.equal(await two.getByRole("button", { name: "Leave the desk" }).count(), 0);
});
