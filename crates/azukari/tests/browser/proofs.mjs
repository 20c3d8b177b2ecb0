// A phone links the My Number Card in a computer's reader, and cards approve logins: the commands
// themselves, beside Chromium.
import { spawn } from "node:child_process";
import { assert, heading, look, phone, press, refused, register, scan, seen, terminal, town, walk, weighs } from "./harness.mjs";

const [akiko] = town.newcomers;
const CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// `azukari card …`: what it says, and what is typed there.
function command(...words) {
  const child = spawn(process.env.AZUKARI, ["card", ...words]);
  let said = "", over = false;
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (octets) => { said += octets; });
  child.on("close", () => { over = true; });
  const until = async (pattern) => {
    for (let n = 0; n < 1_200; n += 1) {
      const found = said.match(pattern);
      if (found) return found;
      if (over) break;
      await new Promise((go) => setTimeout(go, 50));
    }
    assert.fail(`${pattern} does not come: ${said}`);
  };
  return { until, type: (line) => child.stdin.write(`${line}\n`) };
}

/// On loopback any port is the same program's: here it is the network's, which did not ask for this.
const back = new URL(new URL(town.oidc.redirect).pathname, town.network).href;

/// The page of a service that asks for cards.
const ask = (page, client) => page.goto(`${town.platform}/oauth/authorize?${new URLSearchParams({
  response_type: "code", client_id: client, redirect_uri: back, scope: "openid", state: "st", nonce: "no",
  code_challenge: CHALLENGE, code_challenge_method: "S256" })}`);

/// The address in the command that the page shows.
async function shown(page, means, begin) {
  const line = await page.locator(`#by-${means} [data-command]`).innerText();
  const [, words, address] = line.match(/^azukari card approve --ca ca\.pem(.*) '(.+)'$/);
  assert.equal(words, begin);
  return address;
}

/// The command approves; the digits go to the page, and the browser back to the service.
async function approved(page, pin, ...words) {
  const approve = command("approve", "--ca", town.ca_file, ...words);
  approve.type(pin);
  for (const text of [/サービスにログインします/, /電子カルテ（TEST/, /利用者番号/]) await approve.until(text);
  const [, digits] = await approve.until(/入力してください.*: (\d{3})$/m);
  await heading(page, "命令の画面に表示された3桁の数字");
  await look(page, "the digits of the command");
  await page.getByLabel("3桁の数字").fill(digits);
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => url.href.startsWith(back) && url.searchParams.has("code"));
}

await walk(async () => {
  const hers = await phone(), desk = await terminal();
  await register(hers, akiko);

  // The card is in the computer's reader; the phone scans, compares and approves.
  const link = command("prove", "link-jpki", "--phone", "--platform", town.platform, "--ca", town.ca_file);
  const [, url] = await link.until(/^ *(https:\S+\/q#1\.\S+)$/m);
  await scan(hers, url);
  await heading(hers, "マイナンバーカードを紐付けますか");
  const [, left, right] = await link.until(/照合コード.*: (\w{4}) (\w{4})/);
  for (const text of [akiko.display_id ?? "TEST100006", `${left} ${right}`, "マイナンバーカード（利用者証明用）"]) await seen(hers, text);
  await look(hers, "which card would be linked");
  await weighs(hers);
  await press(hers, "承認する");
  await heading(hers, "この数字を、カードを置いたパソコンに入力してください");
  await look(hers, "the digits for the computer");
  const digits = await hers.locator("#digits").innerText();
  link.type(digits === "000" ? "001" : "000");
  link.type("1234");
  await link.until(/2 tries are left/);
  link.type(digits);
  await link.until(/紐付けました/);
  // Scanned again it is of no use; the card is hers now.
  await hers.goto("about:blank");
  await scan(hers, url);
  await refused(hers, "ceremony-unknown");
  await command("prove", "link-jpki", "--phone", "--platform", town.platform, "--ca", town.ca_file).until(/card-already-linked/);

  // A service for HPKI cards shows a command in the place of the QR code.
  await ask(desk, "HPKI");
  await heading(desk, "HPKIカードで承認してください");
  await look(desk, "the command for an HPKI card");
  await weighs(desk);
  const address = await shown(desk, "hpki", "");
  await approved(desk, "hpki-1234", address);

  // And one for My Number Cards.
  await ask(desk, "JPKI");
  await heading(desk, "マイナンバーカードで承認してください");
  await look(desk, "the command for a My Number Card");
  await approved(desk, "1234", "--means", "jpki", await shown(desk, "jpki", " --means jpki"));
});
