// The owner's page reads a terminal's QR code with the phone's camera. Chromium on this machine has no
// Barcode Detection of its own: jsQR stands in for it, and what it decodes is the camera's picture.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert, camera, ehr, heading, look, phone, press, register, seen, signin, terminal, town, walk, weighs } from "./harness.mjs";

const [akiko] = town.newcomers;
const require = createRequire(join(process.env.AZUKARI_BROWSER, "package.json"));
const JSQR = readFileSync(require.resolve("jsqr"), "utf8");
const DETECTOR = `${JSQR};
globalThis.BarcodeDetector = class {
  static async getSupportedFormats() { return ["qr_code"]; }
  async detect(video) {
    const [width, height] = [video.videoWidth, video.videoHeight];
    const canvas = new OffscreenCanvas(width, height), at = canvas.getContext("2d");
    at.drawImage(video, 0, 0);
    const found = jsQR(at.getImageData(0, 0, width, height).data, width, height);
    return found ? [{ rawValue: found.data }] : [];
  }
};`;

/// The camera is pointed at this element: a film (YUV4MPEG2) of what is seen there.
async function film(page, element) {
  const png = (await element.screenshot()).toString("base64");
  const grey = await page.evaluate(async (png) => {
    const picture = await createImageBitmap(new Blob([Uint8Array.from(atob(png), (c) => c.charCodeAt(0))]));
    const canvas = new OffscreenCanvas(640, 480), at = canvas.getContext("2d");
    at.fillStyle = "#999";
    at.fillRect(0, 0, 640, 480);
    at.drawImage(picture, 110, 30, 420, 420);
    const { data } = at.getImageData(0, 0, 640, 480);
    let text = "";
    for (let i = 0; i < data.length; i += 4) text += String.fromCharCode(data[i]);
    return btoa(text);
  }, png);
  camera(Buffer.concat([Buffer.from("FRAME\n"), Buffer.from(grey, "base64"), Buffer.alloc(2 * 320 * 240, 128)]));
}

await walk(async () => {
  const hers = await phone(), desk = await terminal();
  await register(hers, akiko);
  await signin(hers);
  await press(hers, "端末のQRコードを読み取る");
  await heading(hers, "端末のQRコードを読み取ります");
  await seen(hers, "スマートフォンに最初から入っている「カメラ」で読み取ってください");
  assert.equal(await hers.locator("video").isVisible(), false);
  await look(hers, "a browser that cannot scan");
  await press(hers, "戻る");

  // A browser that can, but may not.
  await hers.addInitScript({ content: DETECTOR });
  const other = await terminal();
  await other.goto("about:blank");
  await other.setContent(readFileSync(join(import.meta.dirname, "foreign-qr.svg"), "utf8"));
  await film(other, other.locator("svg"));
  await hers.reload();
  await press(hers, "端末のQRコードを読み取る");
  await hers.getByText("カメラの使用が許可されていません。").waitFor();
  await look(hers, "the camera is not allowed");
  await press(hers, "戻る");
  await hers.context().grantPermissions(["camera"], { origin: town.platform });

  // Somebody else's code is not followed.
  await press(hers, "端末のQRコードを読み取る");
  await hers.getByText("このサービスのQRコードではありません。").waitFor();
  assert.equal(new URL(hers.url()).pathname, "/me");
  await look(hers, "a foreign code");
  await press(hers, "戻る");
  await hers.locator("#card").waitFor();
  assert.equal(await hers.locator("video").evaluate((video) => video.srcObject), null, "the camera is off");

  // The terminal's code leads to what is asked there.
  const { body: asked } = await ehr("POST", `/v1/staff/${akiko.staff}/authentication`, { terminal: town.facility.terminal });
  await desk.goto(asked.page);
  await heading(desk, "登録したスマートフォンのカメラで読み取ってください");
  await film(desk, desk.locator("#qr"));
  await press(hers, "端末のQRコードを読み取る");
  await heading(hers, "この内容で署名を許可しますか");
  assert.equal(new URL(hers.url()).hash, "");
  await seen(hers, "テスト開発者用施設（外部プログラム用）");
  await weighs(hers);
  await press(hers, "承認する");
  await heading(hers, "この数字を端末に入力してください");
  await desk.getByLabel("3桁の数字").fill(await hers.locator("#digits").innerText());
  await press(desk, "確認する");
  await heading(desk, "認証に成功しました");
});
