// A regional health network lets a physician in: in the browser of her desk with the phone beside it,
// and on the phone itself; and what goes wrong between them.
import { readFileSync } from "node:fs";
import { webcrypto } from "node:crypto";
import { assert, heading, look, phone, press, refused, register, scan, seen, terminal, town, walk, weighs } from "./harness.mjs";

const [akiko] = town.newcomers;
const NETWORK = "架空県 医療連携ネット（TEST）";
/// The text of the QR code that a page shows: it is asked for as the page asks.
const qrOf = (page) => page.locator("#go-here").getAttribute("href");
const begin = async (page) => {
  await page.goto(town.network);
  await page.getByRole("link", { name: "資格証でログイン" }).click();
};
/// A client that knows whom it asks, as a program does it.
const base64url = (octets) => Buffer.from(octets).toString("base64url");
async function proven() {
  const jwk = JSON.parse(readFileSync(town.oidc.private_key)), id = town.oidc.client_id;
  const key = await webcrypto.subtle.importKey("jwk", jwk, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  const claims = { iss: id, sub: id, aud: town.platform, jti: webcrypto.randomUUID(), exp: Math.floor(Date.now() / 1000) + 60 };
  const text = [{ alg: "ES256", kid: jwk.kid }, claims].map((part) => base64url(JSON.stringify(part))).join(".");
  return `${text}.${base64url(await webcrypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key, Buffer.from(text)))}`;
}
const posted = async (path, form) => (await fetch(town.platform + path, { method: "POST", body: new URLSearchParams({
  client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", client_assertion: await proven(), ...form }) })).json();
const waiting = (page) => heading(page, "登録したスマートフォンのカメラで読み取ってください");

await walk(async () => {
  const hers = await phone(), desk = await terminal();
  await register(hers, akiko);

  // At her desk: the phone names the service and what it is told, and three digits are carried over.
  await desk.goto(town.network);
  await look(desk, "the network, nobody logged in");
  await desk.getByRole("link", { name: "資格証でログイン" }).click();
  await waiting(desk);
  assert.equal(new URL(desk.url()).origin, town.platform);
  await seen(desk, NETWORK);
  await look(desk, "the QR code of a login");
  await weighs(desk);
  await scan(hers, await qrOf(desk));
  await heading(hers, "このサービスにログインしますか");
  for (const text of ["TEST100006", NETWORK, "127.0.0.1", "氏名", "資格", "登録番号", "署名は許可されません"]) await seen(hers, text);
  await look(hers, "who would be told what");
  await weighs(hers);
  await heading(desk, "スマートフォンで内容を確かめ、承認してください");
  await press(hers, "承認する");
  await heading(hers, "この数字を、ログインする画面に入力してください");
  await look(hers, "three digits");
  const digits = await hers.locator("#digits").innerText();
  await heading(desk, "スマートフォンに表示された3桁の数字");
  await desk.getByLabel("3桁の数字").fill(digits === "000" ? "001" : "000");
  await press(desk, "確認する");
  await desk.getByText("あと2回入力できます").waitFor();
  await look(desk, "a wrong number");
  // Reloaded, the page is where it was.
  await desk.reload();
  await desk.getByLabel("3桁の数字").fill(digits);
  await desk.keyboard.press("Enter");
  await heading(desk, "ログインしました");
  assert.equal(new URL(desk.url()).origin, town.network);
  for (const text of ["医師", "TEST100006"]) await seen(desk, text);
  await look(desk, "the network knows her");
  const known = await desk.locator("code").innerText();
  await desk.getByRole("button", { name: "ログアウト" }).click();
  await heading(desk, "地域の医療機関で診療情報を見る（架空）");

  // On the phone itself there is nothing to carry: the same browser goes straight to the approval.
  await begin(hers);
  await heading(hers, "このスマートフォンでログインします");
  await look(hers, "on the phone itself");
  await hers.getByRole("link", { name: "内容を確かめて承認する" }).click();
  await heading(hers, "このサービスにログインしますか");
  await press(hers, "承認する");
  await heading(hers, "ログインしました");
  assert.equal(await hers.locator("code").innerText(), known, "the same service knows her by the same name");
  await hers.getByRole("button", { name: "ログアウト" }).click();

  // Her own page says whom she told what, and takes it back.
  await hers.goto(`${town.platform}/me`);
  await press(hers, "指紋・顔などでサインイン");
  await press(hers, "ログインしたサービスと、渡した情報");
  await heading(hers, "ログインしたサービス");
  for (const text of [NETWORK, "氏名", "資格", "登録番号"]) await seen(hers, text);
  await look(hers, "who is told what");
  await press(hers, "同意を取り消す");
  await hers.getByText("情報を渡しているサービスはありません").waitFor();
  await look(hers, "nobody is told anything");

  // A client that names her (CIBA): it stands on her page, and waits for the digits.
  const begun = await posted("/oauth/bc-authorize", { scope: "openid profile", login_hint: "TEST100006", binding_message: "ROOM-3" });
  assert.ok(begun.auth_req_id, JSON.stringify(begun));
  const poll = (number) => posted("/oauth/token", { grant_type: "urn:openid:params:grant-type:ciba", auth_req_id: begun.auth_req_id, number });
  assert.equal((await poll("")).error, "authorization_pending");
  await hers.reload();
  await press(hers, "ログインしたサービスと、渡した情報");
  await hers.getByText("ログインを求めています。コード ROOM-3").waitFor();
  await look(hers, "a login that waits on her page");
  await press(hers, "内容を確かめて承認する");
  await heading(hers, "このサービスにログインしますか");
  await seen(hers, "端末のコード ROOM-3（端末の表示と同じか確かめてください）");
  await look(hers, "a code to compare");
  await press(hers, "承認する");
  await heading(hers, "この数字を、ログインする画面に入力してください");
  const told = await poll(await hers.locator("#digits").innerText());
  assert.ok(told.id_token, JSON.stringify(told));

  // She refuses: the service is told no more than that.
  await begin(desk);
  await waiting(desk);
  await scan(hers, await qrOf(desk));
  await press(hers, "拒否する");
  await heading(hers, "拒否しました");
  await heading(desk, "ログインできませんでした");
  await seen(desk, "network-login-refused");
  await look(desk, "refused on the phone");

  // She gives up at the desk; what the phone says then is too late.
  await begin(desk);
  await waiting(desk);
  await scan(hers, await qrOf(desk));
  await heading(hers, "このサービスにログインしますか");
  await press(desk, "やめて、もとのサービスに戻る");
  await heading(desk, "ログインできませんでした");
  await press(hers, "承認する");
  await refused(hers, "ceremony-refused");

  // A code is for one phone. A page that shows another service than is signed asks for nothing.
  await begin(desk);
  await waiting(desk);
  const qr = await qrOf(desk);
  await hers.route("**/phone/session/claim", async (route) => {
    const answer = await route.fetch(), said = await answer.json();
    said.statement.clientName = "テスト銀行";
    await route.fulfill({ response: answer, json: said });
  }, { times: 1 });
  await scan(hers, qr);
  await refused(hers, "phone-statement-differs");
  await scan(hers, qr);
  await refused(hers, "qr-already-used");

  // Nobody is sent to an address that is not registered, and a used request opens nothing.
  await desk.goto(`${town.platform}/oauth/authorize?client_id=kakuu-network&response_type=code&redirect_uri=https%3A%2F%2Fevil.example%2F`);
  await heading(desk, "戻り先のアドレスが登録されていません");
  await look(desk, "an address that is not registered");
  await desk.goto(`${town.platform}/oauth/authorize?client_id=kakuu-network&request_uri=urn:ietf:params:oauth:request_uri:AAAAAAAAAAAAAAAAAAAAAA`);
  await heading(desk, "ログインの要求が見つからないか、使用済み・期限切れです");
});
