// The platform dies (SIGKILL) between a question and its answer, and is started again on the same
// folder: what was a row goes on, what was memory is asked anew, and each page says so.
import { spawn, spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { assert, ehr, heading, look, phone, press, refused, scan, seen, signin, terminal, town, walk } from "./harness.mjs";

const [akiko, fuyuo] = town.newcomers;
const { AZUKARI, AZUKARI_OUT, AZUKARI_TOWN_PID } = process.env;
const config = join(AZUKARI_OUT, "town/platform.toml");
const csv = readFileSync(join(AZUKARI_OUT, "prescription.csv")).toString("base64");
const sign = async () => (await ehr("POST", "/v1/prescriptions", { staff: akiko.staff, csv })).status;
const port = Number(new URL(town.platform).port);

/// The process of the platform, among the town's children.
function running() {
  for (const task of readdirSync(`/proc/${AZUKARI_TOWN_PID}/task`)) {
    for (const child of readFileSync(`/proc/${AZUKARI_TOWN_PID}/task/${task}/children`, "utf8").split(" ").filter(Boolean)) {
      if (readFileSync(`/proc/${child}/cmdline`, "utf8").split("\0").includes("serve")) return Number(child);
    }
  }
  assert.fail("the town has no platform process");
}
const answers = () => new Promise((told) => {
  const socket = connect(port, "127.0.0.1", () => { socket.destroy(); told(true); }).on("error", () => told(false));
});
async function until(what, look) {
  for (let n = 0; n < 1_200; n += 1) {
    if (await look()) return;
    await new Promise((on) => setTimeout(on, 50));
  }
  assert.fail(what);
}
let pid = running(), mine;
async function die() {
  process.kill(pid, "SIGKILL");
  await until("the platform lives on", async () => !await answers());
}
async function live() {
  mine = spawn(AZUKARI, ["serve", "--config", config], { stdio: ["ignore", "inherit", "inherit"] });
  pid = mine.pid;
  await until("the platform's door", answers);
}
const again = async () => { await die(); await live(); };
/// The page asks on its own line; that one may still hold the dead connection.
const begin = async (desk) => {
  const { status, body } = await ehr("POST", `/v1/staff/${akiko.staff}/authentication`, { terminal: town.facility.terminal });
  assert.equal(status, 200, JSON.stringify(body));
  await desk.goto("about:blank");
  await desk.goto(body.page);
  await heading(desk, "登録したスマートフォンのカメラで読み取ってください");
  return body;
};
/// Whoever claims again before her answer arrives: what was asked is memory.
async function anew(desk) {
  await press(desk, "新しいQRコードを表示する");
  await heading(desk, "登録したスマートフォンのカメラで読み取ってください");
}

await walk(async () => {
  const hers = await phone(), desk = await terminal();
  try {
    // Between the sheet and the birth date, and between the birth date and the passkey: both go on.
    await scan(hers, akiko.sheet);
    await heading(hers, "生年月日を入力してください");
    await again();
    await hers.getByRole("textbox").fill(akiko.birth_date);
    await press(hers, "次へ");
    await heading(hers, "本人IDと規約を確かめてください");
    await die();
    await hers.getByRole("checkbox").check();
    await press(hers, "指紋・顔などで登録する");
    await heading(hers, "通信できませんでした");
    await look(hers, "the platform is gone");
    await live();
    await press(hers, "もう一度試す");
    await heading(hers, "登録が完了しました");

    // Between the question at the terminal and her answer: both pages say what to do, and a new code
    // is one press away.
    let asked = await begin(desk);
    await scan(hers, asked.qr);
    await heading(hers, "この内容で署名を許可しますか");
    await again();
    await press(hers, "承認する");
    await refused(hers, "ceremony-unknown");
    await seen(hers, "端末で新しいQRコードを表示し、読み取ってください");
    await look(hers, "asked before the restart");
    await desk.locator("#refused").waitFor();
    await look(desk, "the terminal after the restart");
    await anew(desk);
    // Approved, and dead before the digits were typed: no token, no signature, and again.
    asked = await begin(desk);
    await scan(hers, asked.qr);
    await press(hers, "承認する");
    await heading(hers, "この数字を端末に入力してください");
    const digits = await hers.locator("#digits").innerText();
    await desk.getByLabel("3桁の数字").fill(digits);
    await again();
    await press(desk, "確認する").catch(() => {});
    await desk.locator("#refused").waitFor();
    assert.notEqual(await sign(), 200);
    await anew(desk);
    asked = await begin(desk);
    await scan(hers, asked.qr);
    await press(hers, "承認する");
    await heading(hers, "この数字を端末に入力してください");
    await desk.getByLabel("3桁の数字").fill(await hers.locator("#digits").innerText());
    await press(desk, "確認する");
    await heading(desk, "認証に成功しました");
    assert.equal(await sign(), 200);
    // What she allowed is a row: a restart ends nothing.
    await again();
    assert.equal(await sign(), 200);

    // Her page: the visit goes on, the question does not.
    await signin(hers);
    const [shown] = await Promise.all([hers.waitForResponse("**/me/card"), press(hers, "QRコードで資格証を見せる")]);
    const { qr } = await shown.json();
    await press(hers, "戻る");
    await press(hers, "鍵を止める");
    await heading(hers, "鍵を止めますか");
    await hers.route("**/me/act/finish", async (route) => { await again(); await route.continue(); }, { times: 1 });
    await press(hers, "指紋・顔などで承認する");
    await refused(hers, "question-unknown");
    await look(hers, "the question was asked before the restart");
    assert.equal(await sign(), 200, "nothing was stopped");
    // The code on her card stands in no memory.
    const other = await phone();
    await scan(other, qr);
    await heading(other, "有効な資格証です");
    await press(hers, "本人のページへ戻る");
    await hers.locator("#card").waitFor();
    await press(hers, "鍵を止める");
    await press(hers, "指紋・顔などで承認する");
    await heading(hers, "鍵を止めました");
    await again();
    assert.notEqual(await sign(), 200);
    await press(hers, "本人のページへ戻る");
    await hers.getByText("鍵は止まっています。署名はできません").waitFor();
    await hers.locator("#notices").getByText("鍵を止めました").waitFor();
    await press(hers, "鍵の利用を再開する");
    await press(hers, "指紋・顔などで承認する");
    await heading(hers, "鍵の利用を再開しました");

    // A change of phones is memory until she approves: both phones are told to begin again.
    await press(hers, "本人のページへ戻る");
    const [begun] = await Promise.all([hers.waitForResponse("**/me/change/begin"), press(hers, "機種変更（電話を替える）")]);
    const fresh = await phone();
    await scan(fresh, (await begun.json()).qr);
    await heading(fresh, "この電話に替えます");
    await again();
    await press(fresh, "指紋・顔などで登録する");
    await refused(fresh, "change-unknown");
    await look(fresh, "the new phone after the restart");
    await refused(hers, "change-unknown");
    await look(hers, "the old phone after the restart");
    await press(hers, "本人のページへ戻る");
    await hers.getByText("いま署名できる場所はありません").waitFor();

    // Certificates are revoked while it runs: her card shows itself as void to whoever checks it at
    // that moment, her page knows her no more, and a sheet that is still in the post leads nowhere.
    const [card] = await Promise.all([hers.waitForResponse("**/me/card"), press(hers, "QRコードで資格証を見せる")]);
    const code = (await card.json()).qr;
    for (const { certificate } of [akiko, fuyuo]) {
      const revoked = spawnSync(AZUKARI, ["revoke", "--config", config, "--certificate", certificate, "--reason", "privilegeWithdrawn"], { encoding: "utf8" });
      assert.equal(revoked.status, 0, revoked.stderr);
    }
    await scan(other, code);
    await heading(other, "この資格証は有効ではありません");
    await look(other, "a revoked card");
    await hers.goto(`${town.platform}/me`);
    await hers.getByRole("button", { name: "指紋・顔などでサインイン" }).waitFor();
    const his = await phone();
    await scan(his, fuyuo.sheet);
    await refused(his, "sheet-void");
    await look(his, "the sheet of a revoked certificate");
  } finally { mine?.kill("SIGKILL"); }
});
