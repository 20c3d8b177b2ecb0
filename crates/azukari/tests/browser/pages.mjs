// Every page that a browser can open, in both languages: axe finds nothing serious, it fits the
// screen, weighs little, and comes with the headers that keep others out.
import { assert, look, phone, scan, terminal, town, walk, weighs } from "./harness.mjs";

const PAGES = ["/r", "/q", "/me", "/n", "/v", "/desk", "/terms"];
const HEADERS = { "referrer-policy": /^no-referrer$/, "x-content-type-options": /^nosniff$/, "cross-origin-opener-policy": /^same-origin$/ };

await walk(async () => {
  const page = await phone();
  for (const path of PAGES) {
    for (const lang of ["ja", "en"]) {
      const answers = page.waitForResponse((answer) => new URL(answer.url()).pathname === path);
      await scan(page, `${town.platform}${path}?lang=${lang}`);
      const headers = (await answers).headers();
      for (const [name, expected] of Object.entries(HEADERS)) assert.match(headers[name] ?? "", expected, `${path} ${name}`);
      const policy = headers["content-security-policy"];
      assert.ok(policy.startsWith("default-src 'none'") && policy.includes("frame-ancestors 'none'") && !/unsafe|https?:|\*/.test(policy), `${path}: ${policy}`);
      assert.match(headers["permissions-policy"], path === "/me" ? /camera=\(self\)/ : /camera=\(\)/);
      await page.locator("main h1:visible").first().waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.lang), lang);
      assert.equal(await page.locator("[style], style, script:not([src])").count(), 0, `${path} has something inline`);
      await look(page, `${path} in ${lang}`);
      await weighs(page);
    }
  }
  // The page of the town itself, on a terminal.
  const wide = await terminal();
  for (const lang of ["ja", "en"]) {
    await wide.goto(`${town.page}?lang=${lang}`);
    await wide.locator("h1").first().waitFor();
    await look(wide, `the town in ${lang}`);
    await weighs(wide);
  }
});
