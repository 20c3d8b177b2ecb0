// The morning: two browsers, a terminal's and a phone's, and what goes wrong between them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert, ehr, elsewhere, heading, look, phone, press, refused, register, scan, seen, terminal, town, walk, weighs } from "./harness.mjs";

const [akiko] = town.newcomers;
const begin = async (staff = akiko.staff) => {
  const { status, body } = await ehr("POST", `/v1/staff/${staff}/authentication`, { terminal: town.facility.terminal });
  assert.equal(status, 200, JSON.stringify(body));
  return body;
};
const light = async () => (await ehr("GET", `/v1/staff/${akiko.staff}`)).body.light;

await walk(async () => {
  const hers = await phone(), desk = await terminal();
  await register(hers, akiko);

  // The first time at this institution: three digits are carried over.
  let asked = await begin();
  await desk.goto(asked.page);
  await heading(desk, "登録したスマートフォンのカメラで読み取ってください");
  assert.equal(new URL(desk.url()).hash, "");
  await look(desk, "the QR code");
  await weighs(desk);
  await scan(hers, asked.qr);
  await heading(hers, "この内容で署名を許可しますか");
  assert.equal(new URL(hers.url()).hash, "");
  for (const text of ["TEST100006", "テスト開発者用施設（外部プログラム用）", "外部プログラム", "処方箋", "300件まで"]) await seen(hers, text);
  await look(hers, "what is asked");
  await weighs(hers);
  await heading(desk, "スマートフォンで内容を確かめ、承認してください");
  await look(desk, "waiting for the phone");

  // Her finger is not accepted: nothing is allowed, and she tries again.
  await hers.willing(false);
  await press(hers, "承認する");
  await hers.getByText("指紋・顔などの確認が取り消されたか").waitFor();
  await look(hers, "not verified");
  await hers.willing(true);
  // The answer is lost on the way back: the same approval is sent again and is the same.
  let lost = 0;
  await hers.route("**/phone/session/approve", async (route) => {
    lost += 1;
    await route.fetch();
    await route.abort();
  }, { times: 1 });
  await press(hers, "承認する");
  await heading(hers, "通信できませんでした");
  await look(hers, "the answer was lost");
  assert.equal(lost, 1);
  await press(hers, "もう一度試す");
  await heading(hers, "この数字を端末に入力してください");
  await look(hers, "three digits");
  const digits = await hers.locator("#digits").innerText();
  await heading(desk, "スマートフォンに表示された3桁の数字");
  await desk.getByLabel("3桁の数字").fill(digits === "000" ? "001" : "000");
  await press(desk, "確認する");
  await desk.getByText("あと2回入力できます").waitFor();
  await look(desk, "a wrong number");
  assert.equal(await light(), "none");
  // Reloaded, the page is where it was.
  await desk.reload();
  await desk.getByLabel("3桁の数字").fill(digits);
  await press(desk, "確認する");
  await heading(desk, "認証に成功しました");
  await desk.getByText(/アクセストークンの有効期限は \d{4}年\d+月\d+日 \d\d:\d\d までです/).waitFor();
  await look(desk, "authenticated");
  assert.equal(await light(), "green");

  // The next time the phone alone is enough. A QR code is used once, by whoever was first.
  asked = await begin();
  await desk.goto("about:blank");
  await desk.goto(asked.page);
  await scan(hers, asked.qr);
  await heading(hers, "この内容で署名を許可しますか");
  const second = await hers.context().newPage();
  await second.goto(asked.qr);
  await heading(second, "このQRコードは既に読み取られています");
  await look(second, "used twice");
  await second.close();
  await press(hers, "承認する");
  await heading(hers, "認証に成功しました");
  await hers.getByText(/署名できる期限は .* までです/).waitFor();
  await look(hers, "authenticated");
  await heading(desk, "認証に成功しました");

  // She refuses: the terminal says so and shows a new code in the same page.
  asked = await begin();
  await desk.goto("about:blank");
  await desk.goto(asked.page);
  await scan(hers, asked.qr);
  await press(hers, "拒否する");
  await heading(hers, "拒否しました");
  await look(hers, "refused");
  await heading(desk, "スマートフォンで拒否されました");
  await look(desk, "refused on the phone");
  await press(desk, "新しいQRコードを表示する");
  await heading(desk, "登録したスマートフォンのカメラで読み取ってください");

  // A code relayed from a terminal where somebody else is logged in is none of hers.
  asked = await begin("S0001");
  await scan(hers, asked.qr);
  await heading(hers, "端末にログインしている人とは別の人の承認です");
  await look(hers, "another person's terminal");
  // A phone that nobody linked leaves the code to the right person.
  const stranger = await phone();
  asked = await begin();
  await scan(stranger, asked.qr);
  await heading(stranger, "このスマートフォンはまだ登録されていません");
  await look(stranger, "not linked");
  await scan(hers, asked.qr);
  await heading(hers, "この内容で署名を許可しますか");
  // What is shown is what is signed: a page that was given another text asks for nothing.
  asked = await begin();
  await hers.route("**/phone/session/claim", async (route) => {
    const answer = await route.fetch(), said = await answer.json();
    said.statement.facilityName = "テスト架空病院";
    await route.fulfill({ response: answer, json: said });
  }, { times: 1 });
  await scan(hers, asked.qr);
  await refused(hers, "phone-statement-differs");
  await look(hers, "another text than is signed");
  // Nothing to scan, and an address that says nothing.
  await scan(hers, `${town.platform}/q#1.00.00`);
  await heading(hers, "この本人認証は見つかりません");
  await scan(hers, `${town.platform}/q`);
  await heading(hers, "端末のQRコードを読み取ってください");
  await look(hers, "no QR code");

  // Documents, one approval for exactly these: both show the same characters.
  const csv = readFileSync(join(process.env.AZUKARI_OUT, "prescription.csv")).toString("base64");
  const { status, body: papers } = await ehr("POST", `/v1/staff/${akiko.staff}/approvals`, { terminal: town.facility.terminal, documents: [{ kind: "prescription", csv }, { kind: "prescription", csv }] });
  assert.equal(status, 200, JSON.stringify(papers));
  await desk.goto("about:blank");
  await desk.goto(papers.page);
  await heading(desk, "登録したスマートフォンのカメラで読み取ってください");
  await look(desk, "documents to approve");
  await scan(hers, papers.qr);
  await heading(hers, "この文書への署名を承認しますか");
  const code = papers.short_code.replace(/(.{4})/, "$1 ");
  await seen(hers, code);
  await seen(desk, code);
  await look(hers, "documents");
  await press(hers, "承認する");
  await heading(hers, "承認しました");
  await heading(desk, "承認され、署名されました");
  await look(desk, "signed");
  const signed = await ehr("GET", `/v1/staff/${akiko.staff}/approvals/${papers.ceremony}`);
  assert.equal(signed.body.state, "released", JSON.stringify(signed.body));
  assert.equal(signed.body.documents.filter(({ document }) => document).length, 2);

  // Where events do not come through, the terminal asks every two seconds.
  let polled = 0;
  const slow = await terminal();
  slow.on("request", (request) => { if (request.url().endsWith("/t/state")) polled += 1; });
  await slow.route("**/t/events", (route) => route.abort());
  asked = await begin();
  await slow.goto(asked.page);
  await heading(slow, "登録したスマートフォンのカメラで読み取ってください");
  await scan(hers, asked.qr);
  await heading(slow, "スマートフォンで内容を確かめ、承認してください");
  await press(hers, "承認する");
  await heading(slow, "認証に成功しました");
  assert.ok(polled >= 3, `asked ${polled} times`);

  // A browser that lost its cookie: the passkey names its owner, then the same code goes on. What is
  // signed for that is compared first.
  asked = await begin();
  await hers.context().clearCookies();
  await scan(hers, asked.qr);
  await refused(hers, "phone-not-linked");
  await hers.route("**/me/signin/begin", async (route) => {
    const answer = await route.fetch(), said = await answer.json();
    said.statement.at += 1;
    await route.fulfill({ response: answer, json: said });
  }, { times: 1 });
  await press(hers, "この電話で登録した方はこちら");
  await refused(hers, "phone-statement-differs");
  await scan(hers, asked.qr);
  await refused(hers, "phone-not-linked");
  await look(hers, "its owner is not known here");
  await press(hers, "この電話で登録した方はこちら");
  await heading(hers, "この内容で署名を許可しますか");
  await press(hers, "承認する");
  await heading(hers, "認証に成功しました");

  // Relayed from another institution: a swindler shows her, at her own desk, the code of a terminal
  // elsewhere where she works as well. Her phone names that other place; she refuses, and neither
  // terminal has anything.
  const hospital = "1319990001", there = "/v1/staff/D0006/authentication";
  const mine = await begin();
  await desk.goto("about:blank");
  await desk.goto(mine.page);
  const foreign = (await elsewhere(hospital, "POST", there, { terminal: "opd-1" })).body;
  assert.ok(foreign.qr, JSON.stringify(foreign));
  await scan(hers, foreign.qr);
  await heading(hers, "この内容で署名を許可しますか");
  await seen(hers, "テスト架空病院");
  assert.ok(!(await hers.locator("main").innerText()).includes("テスト開発者用施設"));
  await look(hers, "the place is another than the one before her");
  await press(hers, "拒否する");
  await heading(hers, "拒否しました");
  assert.equal((await elsewhere(hospital, "GET", `${there}/${foreign.ceremony}`)).body.state, "refused");
  await heading(desk, "登録したスマートフォンのカメラで読み取ってください");
  // And if she does not look: the place is new, so three digits are asked for at that terminal, which
  // is not before her; her own terminal goes on by nothing.
  const second_try = (await elsewhere(hospital, "POST", there, { terminal: "opd-1" })).body;
  await scan(hers, second_try.qr);
  await press(hers, "承認する");
  await heading(hers, "この数字を端末に入力してください");
  await seen(hers, "端末があなたの目の前にないときは、入力せず");
  assert.equal((await elsewhere(hospital, "GET", `${there}/${second_try.ceremony}`)).body.state, "number");
  await heading(desk, "登録したスマートフォンのカメラで読み取ってください");
  // On the server: what she signed for one terminal is no approval for another.
  const [one, two] = [await begin(), await begin()].map(({ qr }) => new URL(qr).hash.slice(1).split("."));
  const crossed = await hers.evaluate(async ([one, two]) => {
    const { ask } = await import("/assets/phone/ask.js");
    const { get } = await import("/assets/phone/passkey.js");
    const claim = ([, ceremony, secret]) => ask("/phone/session/claim", { ceremony, secret });
    const [first] = [await claim(one), await claim(two)];
    const credential = await get(first.options);
    const codes = [];
    for (const body of [{ ceremony: two[1], credential }]) {
      try { await ask("/phone/session/approve", body); } catch (refused) { codes.push(refused.code); }
    }
    // The secret of one terminal's code opens no other.
    try { await ask("/phone/session/claim", { ceremony: one[1], secret: two[2] }); } catch (refused) { codes.push(refused.code); }
    return codes;
  }, [one, two]);
  assert.deepEqual(crossed, ["challenge-mismatch", "ceremony-unknown"]);

  // All of it by keys alone.
  asked = await begin();
  await scan(hers, asked.qr);
  await heading(hers, "この内容で署名を許可しますか");
  const walked = [];
  for (let n = 0; n < 4; n += 1) {
    await hers.keyboard.press("Tab");
    walked.push(await hers.evaluate(() => document.activeElement.id || document.activeElement.className));
  }
  assert.ok(walked.indexOf("refuse") >= 0 && walked.indexOf("approve") > walked.indexOf("refuse"), walked.join());
  await hers.locator("#approve").focus();
  await hers.keyboard.press("Enter");
  await heading(hers, "認証に成功しました");
});
