// Whether the card on another phone is real, asked of the platform at this moment.
import { ask } from "./ask.js";
import { $, both, portrait, refuse, say, show, step, when } from "./page.js";

// `#1.<code>`: taken once and cleared from the address.
const parts = location.hash.slice(1).split(".");
if (location.hash) history.replaceState(null, "", location.pathname + location.search);
const code = parts.length === 2 && parts[0] === "1" ? parts[1] : null;

async function begin() {
  if (!code) return show("no-code");
  show("opening");
  try {
    const { card, valid, at } = await ask("/card/check", { code });
    const screen = $(valid ? "valid" : "invalid"), time = when(at);
    say(screen.querySelector("[data-at]"), both(`${time.ja} に確認`, `checked ${time.en}`));
    if (valid) {
      screen.querySelector("[data-name]").textContent = card.name_ja ? `${card.name_ja}（${card.name}）` : card.name;
      say(screen.querySelector("[data-qualification]"), both(card.qualification, card.qualification_en));
      screen.querySelector("[data-number]").textContent = card.number;
      screen.querySelector("[data-authority]").textContent = card.authority;
      say(screen.querySelector("[data-expires]"), when(card.expires));
      await portrait(screen.querySelector("canvas"), card.photo);
    }
    show(screen.id);
  } catch (refused) {
    if (!refused.problem) throw refused;
    refuse(refused, refused.code === "unreachable" ? [step(both("もう一度試す", "Try again"), begin)] : []);
  }
}
begin();
