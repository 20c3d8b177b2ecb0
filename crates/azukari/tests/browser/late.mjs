// What comes too late: the town's clock goes on, and every limit is met by the platform itself – a
// minute for a QR code, two for an approval, a quarter of an hour at the sheet, half an hour of quiet,
// eighteen hours for a session, three months for a sheet.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { act, assert, confirm, ehr, find, heading, later, look, morning, officer, phone, press, refused, register, scan, seen, signin, terminal, town, walk } from "./harness.mjs";

const [akiko, fuyuo] = town.newcomers;
const begin = async (desk) => {
  const { status, body } = await ehr("POST", `/v1/staff/${akiko.staff}/authentication`, { terminal: town.facility.terminal });
  assert.equal(status, 200, JSON.stringify(body));
  await desk.goto("about:blank");
  await desk.goto(body.page);
  await heading(desk, "登録したスマートフォンのカメラで読み取ってください");
  return body;
};
const csv = readFileSync(join(process.env.AZUKARI_OUT, "prescription.csv")).toString("base64");
const sign = async () => (await ehr("POST", "/v1/prescriptions", { staff: akiko.staff, csv })).status;
const birth = async (page, date) => { await page.getByRole("textbox").fill(date); await press(page, "次へ"); };

await walk(async () => {
  const hers = await phone(), desk = await terminal(), his = await phone();

  // At the sheet: a quarter of an hour, then it is scanned again; nothing is used up.
  await scan(hers, akiko.sheet);
  await heading(hers, "生年月日を入力してください");
  await later(901);
  await birth(hers, akiko.birth_date);
  await refused(hers, "sitting-unknown");
  await look(hers, "a quarter of an hour at the sheet");
  await register(hers, akiko);

  // A QR code lives for 60 seconds: at 61 the phone and the terminal both say so.
  let asked = await begin(desk);
  await later(61);
  await scan(hers, asked.qr);
  await refused(hers, "qr-expired");
  await look(hers, "61 seconds");
  await heading(desk, "時間が過ぎました");
  await look(desk, "61 seconds at the terminal");
  await press(desk, "新しいQRコードを表示する");
  await heading(desk, "登録したスマートフォンのカメラで読み取ってください");
  // Read in time, approved two minutes later.
  asked = await begin(desk);
  await scan(hers, asked.qr);
  await heading(hers, "この内容で署名を許可しますか");
  await later(121);
  await press(hers, "承認する");
  await refused(hers, "ceremony-expired");
  await look(hers, "two minutes to approve");
  // Approved in time, the three digits typed too late: no token, and the next morning asks again.
  asked = await begin(desk);
  await scan(hers, asked.qr);
  await press(hers, "承認する");
  await heading(hers, "この数字を端末に入力してください");
  await desk.getByLabel("3桁の数字").waitFor();
  await later(121);
  await refused(desk, "place-not-confirmed");
  await look(desk, "digits too late");

  // A code on a card lives for a minute, a visit for half an hour of quiet.
  await signin(hers);
  const [code] = await Promise.all([hers.waitForResponse("**/me/card"), press(hers, "QRコードで資格証を見せる")]);
  const { qr } = await code.json();
  await later(61);
  const other = await phone();
  await scan(other, qr);
  await refused(other, "card-code-unknown");
  await press(hers, "戻る");
  await hers.locator("#card").waitFor();
  // Another phone: ten minutes from the QR on the old one.
  const [begun] = await Promise.all([hers.waitForResponse("**/me/change/begin"), press(hers, "機種変更（電話を替える）")]);
  await heading(hers, "新しい電話のカメラで読み取ってください");
  await later(601);
  await scan(other, (await begun.json()).qr);
  await refused(other, "change-expired");
  await look(other, "ten minutes to change phones");
  await hers.locator("#home").waitFor();
  await later(1_801);
  await hers.reload();
  await heading(hers, "本人のページ");
  await hers.getByRole("button", { name: "指紋・顔などでサインイン" }).waitFor();

  // Eighteen hours from the authentication, not a second longer, however much was signed.
  assert.equal(await morning(hers, akiko.staff), "released");
  assert.equal(await sign(), 200);
  await later(18 * 3_600 - 60);
  assert.equal(await sign(), 200);
  await later(60);
  assert.notEqual(await sign(), 200);
  assert.equal((await ehr("GET", `/v1/staff/${akiko.staff}`)).body.light, "none");
  await signin(hers);
  await seen(hers, "いま署名できる場所はありません");

  // A sheet that was superseded: the desk prints a newer one for him.
  const one = await officer(town.desk[0]), two = await officer(town.desk[1]);
  await find(one, fuyuo.display_id);
  await act(one, "初期登録用紙の発行");
  await one.getByText("別の係員の確認を待っています。").first().waitFor();
  const { sheet } = await confirm(two, "初期登録用紙の発行");
  await heading(two, "初期登録用紙を印刷してください");
  await scan(his, fuyuo.sheet);
  await refused(his, "sheet-revoked");
  await look(his, "superseded");
  await scan(his, sheet.url);
  await heading(his, "生年月日を入力してください");
  // And three months later the newer one is of no use either.
  await later(93 * 86_400);
  await scan(his, sheet.url);
  await refused(his, "sheet-expired");
  await look(his, "three months later");
  assert.equal((await his.keys()).length, 0);
});
