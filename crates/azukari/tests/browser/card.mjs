// A card in the hospital's reader: authenticating instead of the phone, and signing a prescription.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert, heading, hospital, look, press, refused, seen, terminal, walk, weighs } from "./harness.mjs";

const PIN = "hpki-1234";
const { staff, place, ehr } = hospital();
const type = async (desk, pin, name) => { await desk.locator("#typed").fill(pin); await press(desk, name); };

await walk(async () => {
  const desk = await terminal();
  // The terminal's page offers the card beside the QR code.
  const asked = await ehr("POST", `/v1/staff/${staff}/authentication`, { terminal: place });
  await desk.goto(asked.page);
  await heading(desk, "登録したスマートフォンのカメラで読み取ってください");
  await look(desk, "phone or card");
  await press(desk, "HPKIカードで認証する");
  await heading(desk, "HPKIカードで本人認証をします");
  assert.equal(new URL(desk.url()).hash, "");
  for (const text of ["Hanako Kakuu", "医師", "あと15回"]) await seen(desk, text);
  await look(desk, "which card it is");
  await weighs(desk);
  // What cannot be right costs no try; what is wrong does, and it is said.
  await type(desk, "x", "認証する");
  await desk.getByText("暗証番号の桁数か文字が違います").waitFor();
  await seen(desk, "あと15回");
  await type(desk, "wrong-pin", "認証する");
  await desk.getByText("暗証番号が違います").waitFor();
  await seen(desk, "あと14回");
  assert.equal(await desk.locator("#typed").inputValue(), "");
  await look(desk, "a wrong PIN");
  await type(desk, PIN, "認証する");
  await heading(desk, "認証に成功しました");
  await seen(desk, "アクセストークンの有効期限は");
  await look(desk, "authenticated by card");
  const state = await ehr("GET", `/v1/staff/${staff}`);
  assert.deepEqual([state.light, state.means], ["green", "hpki"]);

  // Documents are approved with it, too; the evidence is kept beside them.
  const csv = readFileSync(join(process.env.AZUKARI_OUT, "prescription.csv")).toString("base64");
  const approval = await ehr("POST", `/v1/staff/${staff}/approvals`, { terminal: place, documents: [{ kind: "prescription", csv }, { kind: "prescription", csv }] });
  await desk.goto(approval.page);
  await heading(desk, "登録したスマートフォンのカメラで読み取ってください");
  await look(desk, "approve by phone or card");
  await press(desk, "HPKIカードで承認する");
  await heading(desk, "HPKIカードで承認します");
  for (const text of [approval.short_code.replace(/(.{4})/, "$1 "), "2件", "処方箋", "Hanako Kakuu"]) await seen(desk, text);
  await look(desk, "what is approved by card");
  await weighs(desk);
  await type(desk, PIN, "承認して署名する");
  await heading(desk, "承認され、署名されました");
  await look(desk, "approved by card");
  const released = await ehr("GET", `/v1/staff/${staff}/approvals/${approval.ceremony}`);
  assert.deepEqual([released.state, released.documents.length], ["released", 2]);
  for (const order of approval.orders) {
    const evidence = await ehr("GET", `/v1/orders/${order}/evidence`);
    assert.deepEqual([evidence.card.means, evidence.binding], ["hpki", undefined]);
  }
  // The medical record may ask for the card from the start.
  const direct = await ehr("POST", `/v1/staff/${staff}/approvals`, { terminal: place, means: "hpki", documents: [{ kind: "prescription", csv }] });
  await desk.goto("about:blank");
  await desk.goto(direct.page);
  await heading(desk, "HPKIカードで承認します");

  // No My Number Card is in the reader.
  await desk.goto("about:blank");
  const other = await ehr("POST", `/v1/staff/${staff}/authentication`, { terminal: place, means: "jpki" });
  await desk.goto(other.page);
  await heading(desk, "マイナンバーカードをリーダーに置いてください");
  await look(desk, "no card");

  // A prescription is signed with the card.
  const order = await ehr("POST", `/v1/staff/${staff}/card-signatures`, { terminal: place, document: { kind: "prescription", csv } });
  assert.deepEqual([order.pin_needed, order.card.tries], [true, 15]);
  await desk.goto(order.page);
  await heading(desk, "HPKIカードで署名します");
  await seen(desk, "処方箋");
  await look(desk, "what is signed");
  await type(desk, PIN, "署名する");
  await heading(desk, "署名しました");
  await look(desk, "signed by card");
  const done = await ehr("GET", `/v1/staff/${staff}/card-signatures/${order.order}`);
  assert.equal(done.state, "done");
  assert.ok(Buffer.from(done.document, "base64").toString().includes("<ds:SignatureValue"));

  // An address that nobody gave is of no use.
  const page = new URL(order.page);
  page.hash = "AAAAAAAAAAAAAAAAAAAAAA";
  await desk.goto("about:blank");
  await desk.goto(page.href);
  await refused(desk, "terminal-page-unknown");
});
