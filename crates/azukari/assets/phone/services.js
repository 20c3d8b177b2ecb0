// The services that the owner lets know who she is: what each is told, since when, and the end of it.
import { $, both, busy, say, show, step, when } from "./page.js";

/// Shows them. `read` and `act` ask the platform in her visit; `fail` shows a refusal.
export async function services(read, act, fail) {
  const { consents, waiting } = await read("/me/consents");
  $("services-waiting").replaceChildren(...waiting.map((one) => {
    const row = document.createElement("li"), name = document.createElement("strong"), code = document.createElement("span");
    row.className = "item";
    name.textContent = one.client;
    say(code, both(`ログインを求めています。コード ${one.code}`, `asks you to log in. Code ${one.code}`));
    const go = step(both("内容を確かめて承認する", "See what is asked, and approve"), () => busy(go, async () => {
      try {
        location.href = (await act("/me/login/open", { login: one.login })).address;
      } catch (refused) { fail(refused, () => services(read, act, fail)); }
    }));
    row.append(name, code, go);
    return row;
  }));
  $("services-none").hidden = consents.length > 0;
  $("services-list").replaceChildren(...consents.map((one) => {
    const row = document.createElement("li"), name = document.createElement("strong");
    row.className = "item";
    name.textContent = one.name;
    const told = document.createElement("span");
    told.replaceChildren(...one.scopes.flatMap((scope, place) => {
      const text = $("scopes").content.querySelector(`[data-scope="${CSS.escape(scope)}"]`);
      if (!text) return [];
      return place ? [document.createTextNode("、"), text.cloneNode(true)] : [text.cloneNode(true)];
    }));
    const last = when(one.last), at = document.createElement("small");
    say(at, both(`最後のログイン ${last.ja}`, `last login ${last.en}`));
    const end = step(both("同意を取り消す", "Take it back"), () => busy(end, async () => {
      try {
        await act("/me/consent/end", { client: one.client });
        await services(read, act, fail);
      } catch (refused) { fail(refused, () => services(read, act, fail)); }
    }), "refuse");
    row.append(name, told, at, end);
    return row;
  }));
  show("services");
}
