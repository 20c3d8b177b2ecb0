// The town's page moves cards between real readers, and a My Number Card authenticates at a terminal.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert, heading, hospital, look, press, seen, terminal, town, walk } from "./harness.mjs";

const { staff, place, ehr } = hospital();
/// Until the terminal's own reader sees such a card, or none.
const inside = async (use) => {
  for (let n = 0; n < 600; n += 1) {
    const [slot] = await ehr("GET", "/v1/cards");
    if ((slot.uses.at(-1)?.use ?? null) === use) return;
    await new Promise((go) => setTimeout(go, 50));
  }
  assert.fail(`the terminal does not see ${use}`);
};

await walk(async () => {
  const page = await terminal();
  await page.goto(town.page);
  const chip = (card) => page.locator(`#card-${card}`);
  await chip("hpki-hanako").getByText("あと 15 / 15 回").first().waitFor();
  await look(page, "cards in the readers");
  // Her HPKI card comes out of the hospital's reader, and her My Number Card goes in.
  await page.locator("#out-hpki-hanako").click();
  await page.locator("#in-hpki-hanako-0").waitFor();
  await inside(null);
  await page.locator("#out-my-number-hanako").click();
  await page.locator("#in-my-number-hanako-0").click();
  await page.locator("#out-my-number-hanako").waitFor();
  await inside("jpki");

  const desk = await terminal();
  const asked = await ehr("POST", `/v1/staff/${staff}/authentication`, { terminal: place });
  await desk.goto(asked.page);
  await press(desk, "マイナンバーカードで認証する");
  await heading(desk, "マイナンバーカードで本人認証をします");
  await seen(desk, "あと3回");
  await look(desk, "my number card");
  await desk.locator("#typed").fill("9999");
  await press(desk, "認証する");
  await desk.getByText("暗証番号が違います").waitFor();
  await seen(desk, "あと2回");
  await look(desk, "a wrong PIN");
  // The town's page shows what the chip counted.
  await chip("my-number-hanako").getByText("あと 2 / 3 回").waitFor();
  await look(page, "a try is lost");
  await desk.locator("#typed").fill("1234");
  await press(desk, "認証する");
  await heading(desk, "認証に成功しました");
  await look(desk, "authenticated");
  const state = await ehr("GET", `/v1/staff/${staff}`);
  assert.deepEqual([state.light, state.means], ["green", "jpki"]);

  // With her token a prescription is signed.
  const csv = readFileSync(join(process.env.AZUKARI_OUT, "prescription.csv")).toString("base64");
  const signed = await ehr("POST", "/v1/prescriptions", { staff, csv });
  assert.ok(Buffer.from(signed.document, "base64").toString().includes("<ds:SignatureValue"));

  // At the town hall her certificate is revoked: the next time the card is refused.
  page.on("dialog", (asked) => asked.accept());
  await page.locator("#revoke-my-number-hanako").click();
  await chip("my-number-hanako").getByText("失効しています").waitFor();
  const late = await ehr("POST", `/v1/staff/${staff}/authentication`, { terminal: place, means: "jpki" });
  await desk.goto("about:blank");
  await desk.goto(late.page);
  await heading(desk, "マイナンバーカードで本人認証をします");
  await desk.locator("#typed").fill("1234");
  await press(desk, "認証する");
  await desk.getByText("カードの証明書は失効しています").waitFor();
  await look(desk, "revoked");
  await look(page, "revoked at the town hall");

  // Without the card nobody is authenticated by it.
  await page.locator("#out-my-number-hanako").click();
  await inside(null);
  const next = await ehr("POST", `/v1/staff/${staff}/authentication`, { terminal: place, means: "jpki" });
  await desk.goto("about:blank");
  await desk.goto(next.page);
  await heading(desk, "マイナンバーカードをリーダーに置いてください");
  await look(desk, "no card");
  await page.goto(`${town.page}?lang=en`);
  await look(page, "in English");
});
