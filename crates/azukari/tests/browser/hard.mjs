// What goes wrong with a sheet or a phone: each its own page with the next step.
import { heading, look, phone, press, refused, scan, seen, town, walk } from "./harness.mjs";

const [akiko, fuyuo] = town.newcomers;
const birth = async (page, date) => { await page.getByRole("textbox").fill(date); await press(page, "次へ"); };
const agree = async (page) => { await page.getByRole("checkbox").check(); await press(page, "指紋・顔などで登録する"); };

await walk(async () => {
  // A phone without a screen lock is told what to switch on, for its kind, before anything is asked.
  const bare = await phone({ verifies: false });
  await scan(bare, akiko.sheet);
  await heading(bare, "先に画面ロックを設定してください");
  await seen(bare, "「設定」→「セキュリティ」→「画面ロック」");
  await look(bare, "no screen lock");
  const apple = await phone({ verifies: false, kind: "iphone" });
  await scan(apple, akiko.sheet);
  await heading(apple, "先に画面ロックを設定してください");
  await seen(apple, "「設定」→「Face IDとパスコード」");
  await look(apple, "no screen lock on an iPhone");
  // Inside an app whose browser has no passkeys.
  const app = await phone();
  await app.addInitScript(() => { delete window.PublicKeyCredential; });
  await scan(app, akiko.sheet);
  await heading(app, "このアプリの中では登録できません");
  await look(app, "inside another app");

  // Two phones race for one sheet: the sitting that began last goes on, and one phone is linked.
  const one = await phone(), two = await phone();
  await scan(one, akiko.sheet);
  await heading(one, "生年月日を入力してください");
  await scan(two, akiko.sheet);
  await heading(two, "生年月日を入力してください");
  await birth(one, akiko.birth_date);
  await heading(one, "登録の受付時間（15分）が過ぎたか、別の画面で始め直されています");
  await look(one, "begun elsewhere");
  await birth(two, akiko.birth_date);
  await heading(two, "本人IDと規約を確かめてください");
  // An authenticator that answers without having verified its owner is refused by the platform.
  await two.route("**/phone/link/finish", (route) => {
    const body = JSON.parse(route.request().postData());
    const octets = Buffer.from(body.credential.response.attestationObject, "base64url");
    const at = octets.indexOf(Buffer.from("authData")) + 8;
    const flags = octets.indexOf(0x58, at) + 2 + 32;
    octets[flags] &= ~0x04;
    body.credential.response.attestationObject = octets.toString("base64url");
    return route.continue({ postData: JSON.stringify(body) });
  }, { times: 1 });
  await agree(two);
  await refused(two, "user-not-verified");
  await look(two, "not verified");
  // Cancelling restarts: the sheet is as good as before. The answer of the last step is lost.
  const three = await phone();
  await scan(three, akiko.sheet);
  await birth(three, akiko.birth_date);
  await heading(three, "本人IDと規約を確かめてください");
  await three.route("**/phone/link/finish", async (route) => { await route.fetch(); await route.abort(); }, { times: 1 });
  await agree(three);
  await heading(three, "通信できませんでした");
  await press(three, "もう一度試す");
  await heading(three, "スマートフォンは既に紐付けられています");
  await look(three, "the answer was lost");

  // Five wrong birth dates lock a sheet for good, also for another phone.
  const his = await phone();
  await scan(his, fuyuo.sheet);
  for (const left of [4, 3, 2, 1]) {
    await birth(his, `1990010${left}`);
    await his.getByText(`あと${left}回入力できます`).waitFor();
  }
  await birth(his, "19900101");
  await heading(his, "生年月日を5回間違えたため、登録用紙は使えません");
  await look(his, "locked");
  const other = await phone();
  await scan(other, fuyuo.sheet);
  await refused(other, "sheet-locked");
  // A sheet that is not one, and a secret that is not its own, look alike.
  for (const parts of ["00000000000000000000000000000000.AAAAAAAAAAAAAAAAAAAAAA", `${fuyuo.sheet.split(".")[1]}.AAAAAAAAAAAAAAAAAAAAAA`]) {
    await scan(other, `${town.platform}/r#1.${parts}`);
    await refused(other, "sheet-unknown");
  }
  await look(other, "unknown");
});
