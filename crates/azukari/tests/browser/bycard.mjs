// A service that asks for HPKI cards: its page shows a command in the place of the QR code, and takes the
// digits that the command shows. What the command sends is sent here; the key is that of her card.
import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert, heading, look, phone, press, refused, register, scan, seen, terminal, town, walk, weighs } from "./harness.mjs";

const [akiko] = town.newcomers;
const CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const kept = JSON.parse(readFileSync(join(process.env.AZUKARI_OUT, "town/cards/hpki-card-hanako.json")));
const { key, certificate } = (kept.Hpki ?? kept.hpki ?? kept).authentication;
const card = createPrivateKey({ key: Buffer.from(key, "base64"), format: "der", type: "pkcs8" });

const ask = async (path, body) => {
  const answer = await fetch(town.platform + path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  return { status: answer.status, body: await answer.json() };
};

await walk(async () => {
  const hers = await phone(), desk = await terminal();
  await register(hers, akiko);
  // On loopback any port is the same program's: here it is the network's, which did not ask for this.
  const back = new URL(new URL(town.oidc.redirect).pathname, town.network).href;
  await desk.goto(`${town.platform}/oauth/authorize?${new URLSearchParams({
    response_type: "code", client_id: "HPKI", redirect_uri: back, scope: "openid", state: "st", nonce: "no",
    code_challenge: CHALLENGE, code_challenge_method: "S256" })}`);
  await heading(desk, "HPKIカードで承認してください");
  await seen(desk, "電子カルテ（TEST、HPKIカード）");
  const line = await desk.locator("#by-hpki [data-command]").innerText();
  const [, address] = line.match(/^azukari card approve --ca ca\.pem '(.+)'$/);
  await look(desk, "the command for an HPKI card");
  await weighs(desk);
  // A phone is told that it is not what is asked for.
  await scan(hers, address);
  await refused(hers, "oauth-means-differs");
  await look(hers, "a phone where a card is asked for");

  const [, ceremony, secret] = address.match(/#1\.(.+)\.(.+)$/);
  const which = { ceremony, secret, means: "hpki", certificate };
  const asked = await ask("/card/claim", which);
  assert.deepEqual([asked.status, asked.body.type, asked.body.statement.clientId], [200, "login", "HPKI"]);
  await heading(desk, "命令の画面で内容を確かめ、承認してください");
  const signature = sign("sha256", Buffer.from(asked.body.challenge, "base64"), card).toString("base64");
  const { status, body } = await ask("/card/approve", { ...which, signature });
  assert.equal(status, 200, JSON.stringify(body));
  await heading(desk, "命令の画面に表示された3桁の数字");
  await look(desk, "the digits of the command");
  await desk.getByLabel("3桁の数字").fill(body.number);
  await press(desk, "確認する");
  await desk.waitForURL((url) => url.href.startsWith(back) && url.searchParams.has("code"));
});
