// Chromium in front of a running town: phones with authenticators of their own, terminals, a look at
// each page by axe, and screenshots. TLS is verified as everywhere: the town's authority stands in
// the certificate store of this test's own home folder.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import assert from "node:assert/strict";

const { AZUKARI_BROWSER, AZUKARI_TOWN, AZUKARI_SHOTS, AZUKARI_FLOW, AZUKARI_OUT } = process.env;
const require = createRequire(join(AZUKARI_BROWSER, "package.json"));
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/// What the town hands out (demo.json).
export const town = JSON.parse(readFileSync(AZUKARI_TOWN, "utf8"));
export { assert };
/// Longer than anything here may take; only what hangs meets it.
const PATIENCE_MS = 20_000;
/// No page may be larger, with everything that it loads.
const PAGE_MAX = 150_000;

// What a camera sees before a flow points it anywhere: grey.
const grey = Buffer.concat([Buffer.from("FRAME\n"), Buffer.alloc(640 * 480 * 1.5, 128)]);
const CAMERA = join(AZUKARI_OUT, "camera.y4m");
/// The camera is pointed at this picture: frames of 640 × 480 (YUV4MPEG2).
export const camera = (frame) => writeFileSync(CAMERA, Buffer.concat([Buffer.from("YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420jpeg\n"), frame, frame]));
camera(grey);

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    // What a phone's camera sees is this file.
    "--use-fake-device-for-media-stream", `--use-file-for-fake-video-capture=${CAMERA}`],
});

const PHONE = {
  viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true,
  locale: "ja-JP", timezoneId: "Asia/Tokyo",
  userAgent: "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36",
};
const IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1";
const TERMINAL = { viewport: { width: 1024, height: 768 }, locale: "ja-JP", timezoneId: "Asia/Tokyo" };

async function opened(settings) {
  const context = await browser.newContext(settings);
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  page.troubles = [];
  page.on("pageerror", (error) => page.troubles.push(`error: ${error.message}`));
  page.on("console", (line) => { if (/Content.Security.Policy|violat/i.test(line.text())) page.troubles.push(line.text()); });
  page.on("request", (request) => {
    const { origin } = new URL(request.url());
    if (origin !== town.platform && origin !== town.network && origin !== new URL(page.url()).origin && page.url() !== "about:blank") page.troubles.push(`outside: ${request.url()}`);
  });
  return page;
}

/// A phone: a browser and an authenticator. `verifies: false` has no screen lock.
export async function phone({ verifies = true, willing = true, kind = "android" } = {}) {
  const page = await opened({ ...PHONE, ...(kind === "iphone" && { userAgent: IPHONE }) });
  const wire = await page.context().newCDPSession(page);
  await wire.send("WebAuthn.enable", { enableUI: false });
  const { authenticatorId } = await wire.send("WebAuthn.addVirtualAuthenticator", { options: {
    protocol: "ctap2", ctap2Version: "ctap2_1", transport: "internal", hasResidentKey: true,
    hasUserVerification: verifies, isUserVerified: willing, automaticPresenceSimulation: true,
  } });
  page.wire = wire;
  page.authenticatorId = authenticatorId;
  /// Whether the owner's finger is accepted from now on.
  page.willing = (isUserVerified) => wire.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified });
  page.keys = async () => (await wire.send("WebAuthn.getCredentials", { authenticatorId })).credentials;
  return page;
}

/// A browser on a terminal of the institution.
export const terminal = () => opened(TERMINAL);

/// Time passes in the town.
export async function later(seconds) {
  const answer = await fetch(new URL("/demo/later", town.page), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ seconds }) });
  assert.equal(answer.status, 200);
}

/// By keys alone: to this element and no other way, at most around the whole page.
export async function tabTo(page, target) {
  await target.waitFor();
  for (let n = 0; n < 60; n += 1) {
    if (await target.evaluate((it) => it === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`no way by keys to ${await target.evaluate((it) => it.outerHTML)} from ${await page.evaluate(() => document.activeElement.outerHTML.slice(0, 200))}`);
}
/// A button or link, by its beginning, pressed by keys.
export async function keyed(page, name, key = "Enter") {
  const button = page.locator(":is(button, a, summary):visible").filter({ hasText: name }).first();
  await tabTo(page, button);
  await page.keyboard.press(key);
}
/// A text, typed by keys into the field of this label.
export async function typed(page, field, text) {
  await tabTo(page, field);
  await page.keyboard.press("Control+A");
  await page.keyboard.type(text);
}

/// The camera of a phone reads a QR code: another page is opened, also where one is open already.
export async function scan(page, url) {
  await page.goto("about:blank");
  await page.goto(url);
}

let shots = 0;
mkdirSync(AZUKARI_SHOTS, { recursive: true });
/// Keeps what is seen, and has axe look at it.
export async function look(page, what) {
  await page.evaluate(() => document.fonts.ready);
  shots += 1;
  const name = `${AZUKARI_FLOW}-${String(shots).padStart(2, "0")}`;
  await page.screenshot({ path: join(AZUKARI_SHOTS, `${name}.png`), fullPage: true });
  const { violations } = await page.evaluate(`${AXE}; axe.run(document, { resultTypes: ["violations"] })`);
  const grave = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  const told = grave.map((v) => `${v.id}: ${v.help}\n${v.nodes.map((n) => `  ${n.html} ${n.failureSummary}`).join("\n")}`);
  assert.deepEqual(told, [], `${name} (${what})`);
  assert.deepEqual(page.troubles ?? [], [], `${name} (${what})`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wide <= 0, `${name} (${what}) is ${wide} px wider than the screen`);
}

/// What a page weighs with everything that it loads.
export async function weighs(page) {
  const octets = await page.evaluate(() => performance.getEntriesByType("resource")
    .concat(performance.getEntriesByType("navigation")).reduce((sum, one) => sum + one.decodedBodySize, 0));
  assert.ok(octets > 0 && octets < PAGE_MAX, `the page weighs ${octets} octets`);
}

/// The screen that is seen, by the text of its heading.
export const heading = (page, text) => page.getByRole("heading", { level: 1, name: text }).waitFor();
export const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
/// What a page shows next may still show what it showed before: waits until it says this.
async function says(place, holds, wanted) {
  let text = "";
  for (const until = Date.now() + PATIENCE_MS; Date.now() < until;) {
    text = await place.innerText();
    if (holds(text)) return;
    await new Promise((later) => setTimeout(later, 20));
  }
  assert.fail(`${wanted} is not seen in:\n${text}`);
}
export const seen = (page, text) => says(page.locator("main"), (shown) => shown.includes(text), text);
export const refused = async (page, code) => {
  await page.locator("#refused").waitFor();
  await says(page.locator("#refused [data-code]"), (shown) => shown === code, code);
};

/// JSON to a door of the town, as a program sends it.
export async function send(method, url, bearer, body) {
  const answer = await fetch(url, {
    method, headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  return { status: answer.status, body: await answer.json() };
}

/// An officer of the authority's desk enrols and signs in.
export async function officer({ invitation, name }, shots = () => {}) {
  const page = await phone();
  await page.setViewportSize({ width: 1000, height: 900 });
  await scan(page, invitation);
  await heading(page, "窓口係として登録します");
  assert.equal(new URL(page.url()).hash, "");
  await seen(page, name);
  await shots(page, "invited");
  await press(page, "パスキーを作って登録する");
  await page.getByText("窓口係として登録されました。").waitFor();
  await shots(page, "enrolled");
  await press(page, "パスキーでサインイン");
  await page.getByRole("button", { name: "窓口を離れる" }).waitFor();
  await seen(page, name);
  return page;
}
/// She looks somebody up.
export async function find(page, text) {
  await page.getByRole("textbox").fill(text);
  await press(page, "調べる");
}
/// She acts: gives a reason and her finger.
export async function act(page, name, button = name) {
  await page.getByRole("button", { name: button }).click();
  await heading(page, name);
  await page.getByLabel("理由（誰から、どう確かめたか）").fill("本人から電話。生年月日と本人IDを確認");
  await press(page, "パスキーで承認する");
}
/// Another confirms it.
export async function confirm(page, name) {
  await page.reload();
  await press(page, "内容を確かめて承認する");
  await heading(page, name);
  const finished = page.waitForResponse(/act\/finish$/);
  await press(page, "パスキーで承認する");
  return (await finished).json();
}

/// The medical record of another facility of the town asks its own gateway.
export async function elsewhere(code, method, path, body) {
  const file = (name) => readFileSync(join(AZUKARI_OUT, "town", name), "utf8");
  const [, listen] = file(`gateway-${code}.toml`).match(/^listen = "(.+)"$/m);
  return send(method, `http://${listen}${path}`, file(`ehr-${code}.key`).trim(), body);
}

/// The hospital of the town: its physician, her terminal, and what her EHR asks at its gateway.
export function hospital() {
  const code = "1319990001";
  const toml = readFileSync(join(AZUKARI_OUT, "town", `gateway-${code}.toml`), "utf8");
  const first = (table) => toml.match(new RegExp(`\\[\\[gateway\\.${table}\\]\\]\nid = "(.*?)"`))[1];
  const ehr = async (method, path, body) => {
    const { status, body: said } = await elsewhere(code, method, path, body);
    assert.equal(status, 200, JSON.stringify(said));
    return said;
  };
  return { staff: first("staff"), place: first("terminal"), ehr };
}

/// The morning as an outside program would have it: claimed and approved on this phone, three digits
/// carried over where they are asked. What came of it.
export async function morning(page, staff, terminal = town.facility.terminal) {
  const { status, body: asked } = await ehr("POST", `/v1/staff/${staff}/authentication`, { terminal });
  assert.equal(status, 200, JSON.stringify(asked));
  const [, ceremony, secret] = new URL(asked.qr).hash.slice(1).split(".");
  const number = await page.evaluate(async ({ ceremony, secret }) => {
    const { ask } = await import("/assets/phone/ask.js");
    const { get } = await import("/assets/phone/passkey.js");
    try {
      const claimed = await ask("/phone/session/claim", { ceremony, secret });
      return (await ask("/phone/session/approve", { ceremony, credential: await get(claimed.options) })).number ?? "";
    } catch (refused) { return refused.code; }
  }, { ceremony, secret });
  if (number && !/^\d{3}$/.test(number)) return number;
  const at = `/v1/staff/${staff}/authentication/${asked.ceremony}`;
  const stands = number ? await ehr("POST", `${at}/number`, { number }) : await ehr("GET", at);
  return stands.body.state;
}

/// She signs in to her own page.
export async function signin(page) {
  await page.goto(`${town.platform}/me`);
  await heading(page, "本人のページ");
  await page.getByRole("button", { name: "指紋・顔などでサインイン" }).click();
  await page.locator("#card").waitFor();
}

/// The medical record of the facility asks its gateway.
export const ehr = (method, path, body) => send(method, `${town.gateway}${path}`, town.gateway_key, body);

/// Somebody registers this phone, from the sheet to the end.
export async function register(page, person) {
  await scan(page, person.sheet);
  await heading(page, "生年月日を入力してください");
  await page.getByRole("textbox").fill(person.birth_date);
  await press(page, "次へ");
  await heading(page, "本人IDと規約を確かめてください");
  await page.getByRole("checkbox").check();
  await press(page, "指紋・顔などで登録する");
  await heading(page, "登録が完了しました");
}

/// Walks a flow and ends the browser whatever happens.
export async function walk(flow) {
  try { await flow(); } catch (error) {
    // What stood there then is worth more than a stack.
    for (const [n, page] of browser.contexts().flatMap((context) => context.pages()).entries()) {
      await page.screenshot({ path: join(AZUKARI_SHOTS, `${AZUKARI_FLOW}-failed-${n}.png`) });
      console.error(page.url(), await page.locator("main").innerText().catch(() => "-"), page.troubles ?? "");
    }
    throw error;
  } finally { await browser.close(); }
}
