// From the envelope to a linked phone, and what goes wrong on the way.
import { assert, heading, look, phone, press, refused, register, scan, seen, town, walk, weighs } from "./harness.mjs";

const [akiko, fuyuo] = town.newcomers;

await walk(async () => {
  const hers = await phone();
  await scan(hers, `${town.platform}/r`);
  await heading(hers, "登録用紙のQRコードを読み取ってください");
  await look(hers, "without a sheet");

  // The secret is gone from the address before anything is asked.
  await scan(hers, akiko.sheet);
  await heading(hers, "生年月日を入力してください");
  assert.equal(new URL(hers.url()).hash, "");
  await look(hers, "birth date");
  await weighs(hers);
  await hers.getByRole("textbox").fill("1991-11-1");
  await press(hers, "次へ");
  await hers.getByText("生年月日は8桁の数字で入力してください").waitFor();
  await hers.getByRole("textbox").fill("19911113");
  await press(hers, "次へ");
  await hers.getByText("あと4回入力できます").waitFor();
  await look(hers, "a wrong birth date");
  // Digits as a Japanese keyboard writes them.
  await hers.getByRole("textbox").fill("１９９１１１１２");
  await press(hers, "次へ");
  await heading(hers, "本人IDと規約を確かめてください");
  await seen(hers, "TEST100006");
  await look(hers, "personal ID and terms");
  // The terms that she signs are served for good, under their hash.
  const shown = await hers.locator("#terms [lang=ja]").innerText();
  const served = await hers.evaluate(async () => {
    const { terms } = await import("/assets/phone/statement.js");
    const page = await (await fetch("/terms")).text();
    const hashes = [...page.matchAll(/<details id="([\w-]{43})"/g)].map(([, hash]) => hash);
    return Promise.all(hashes.map((hash) => terms(hash)));
  });
  assert.ok(served.length >= 2 && served[0].ja.trim() === shown.trim(), `${served.length} editions`);
  const reader = await phone();
  await reader.goto(`${town.platform}/terms`);
  await reader.getByText("前の版").waitFor();
  await look(reader, "every edition of the terms");
  await weighs(reader);
  await press(hers, "指紋・顔などで登録する");
  await hers.getByText("「同意します」に印を付けてください。").waitFor();
  await hers.getByRole("checkbox").check();

  // English in the middle of it loses nothing.
  await press(hers, "English");
  await heading(hers, "Check your ID and the terms");
  await look(hers, "in English");
  await press(hers, "日本語");

  // Her finger is not accepted, then it is.
  await hers.willing(false);
  await press(hers, "指紋・顔などで登録する");
  await hers.getByText("指紋・顔などの確認が取り消されたか、時間切れになりました").waitFor();
  await look(hers, "not verified");
  assert.equal((await hers.keys()).length, 0);
  await hers.willing(true);
  await hers.getByLabel("このスマートフォンの名前").fill("秋子の電話");
  await press(hers, "指紋・顔などで登録する");
  await heading(hers, "登録が完了しました");
  await seen(hers, "秋子の電話");
  await look(hers, "done");
  const [key] = await hers.keys();
  assert.ok(key.isResidentCredential && key.rpId === "localhost");
  const cookies = await hers.context().cookies();
  const device = cookies.find(({ name }) => name === "__Host-azukari-device");
  assert.ok(device.httpOnly && device.secure && device.sameSite === "Strict" && device.path === "/");
  assert.equal(await hers.evaluate(() => document.cookie), "");

  // Scanned again here; on another phone; another's sheet here, with and without the cookie.
  await scan(hers, akiko.sheet);
  await heading(hers, "このスマートフォンは登録済みです");
  await refused(hers, "phone-linked-here");
  // Nothing is wrong: it says so in a calm colour, and leads on.
  assert.equal(await hers.locator("#refused .good").count(), 1);
  await look(hers, "scanned again");
  assert.equal(await hers.locator("#refused [data-next] a").getAttribute("href"), "/me");
  const other = await phone();
  await scan(other, akiko.sheet);
  await heading(other, "スマートフォンは既に紐付けられています");
  await look(other, "a second phone");
  await scan(hers, fuyuo.sheet);
  await refused(hers, "phone-holds-another");
  await look(hers, "a second certificate");
  await hers.context().clearCookies();
  await scan(hers, fuyuo.sheet);
  await hers.getByRole("textbox").fill(fuyuo.birth_date);
  await press(hers, "次へ");
  await hers.getByRole("checkbox").check();
  await press(hers, "指紋・顔などで登録する");
  await heading(hers, "このスマートフォンには、別の証明書が登録されています");
  assert.equal((await hers.keys()).length, 1);

  // His own phone is free: the sheet was not used up by that.
  await register(other, fuyuo);
});
