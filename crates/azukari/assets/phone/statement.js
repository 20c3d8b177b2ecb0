// The challenge of what is displayed, computed on the phone: a page that shows one thing and asks
// for a signature over another gets nothing. fr(x) = u32be(length) ‖ x;
// H(domain; f1 … fn) = SHA-256(fr(domain) ‖ u32be(n) ‖ fr(f1) … fr(fn)).
import { decode, encode } from "./passkey.js";
import { refusal } from "./ask.js";

const u32 = (number) => Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number);
const joined = (parts) => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
};
const framed = (octets) => joined([u32(octets.length), octets]);

export const text = (value) => new TextEncoder().encode(value.normalize("NFC"));
export const octets = (value) => value ? decode(value) : new Uint8Array();
/// An identifier: 16 octets in hexadecimal, with or without hyphens.
export const id = (value) => Uint8Array.from(value.replaceAll("-", "").match(/../g), (pair) => parseInt(pair, 16));
export const number = (value) => joined([u32(Math.floor(value / 2 ** 32)), u32(value)]);
export const list = (values) => joined([u32(values.length), ...values.map((value) => framed(text(value)))]);

export async function H(domain, ...fields) {
  const whole = joined([framed(text(domain)), u32(fields.length), ...fields.map(framed)]);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
}

const place = (s) => [text(s.facilityId), text(s.facilityName), octets(s.x5tS256), text(s.terminalId), text(s.terminalLabel), id(s.person), id(s.key), list([...s.kinds].sort())];
/// Who decides about which key; neither is named where the passkey has to say.
const hers = (s) => [text(s.issuer), text(s.rpId), octets(s.nonce), s.person ? id(s.person) : octets(), s.key ? id(s.key) : octets()];
const FORMS = {
  link: (s) => H("azukari/approve/link/v1", text(s.issuer), text(s.rpId), id(s.sheet), id(s.session), octets(s.nonce), id(s.person), id(s.key), octets(s.termsHash)),
  session: (s) => H("azukari/approve/session/v1", text(s.issuer), text(s.rpId), id(s.ceremony), octets(s.nonce), ...place(s), number(s.maxCount), number(s.notBefore), number(s.notAfter), number(s.headSeq), octets(s.headCommitment)),
  documents: (s) => H("azukari/approve/documents/v1", text(s.issuer), text(s.rpId), id(s.ceremony), octets(s.nonce), ...place(s), number(s.count), octets(s.root), number(s.notAfter)),
  desk: (s) => H("azukari/approve/desk/v1", text(s.issuer), text(s.rpId), octets(s.nonce), id(s.officer), id(s.order), text(s.act), id(s.person), id(s.key), text(s.reason), s.session ? id(s.session) : octets()),
  "desk-signin": (s) => H("azukari/approve/desk-signin/v1", text(s.issuer), text(s.rpId), octets(s.nonce)),
  officer: (s) => H("azukari/approve/officer/v1", text(s.issuer), text(s.rpId), id(s.invitation), octets(s.nonce), id(s.officer), text(s.name)),
  stop: (s) => H("azukari/approve/stop/v1", ...hers(s)),
  restart: (s) => H("azukari/approve/restart/v1", ...hers(s)),
  loss: (s) => H("azukari/approve/loss/v1", ...hers(s)),
  dispute: (s) => H("azukari/approve/dispute/v1", ...hers(s), number(s.index), octets(s.commitment)),
  change: (s) => H("azukari/approve/change/v1", ...hers(s), id(s.sheet), octets(s.credential)),
  login: (s) => H("azukari/approve/login/v1", text(s.issuer), text(s.rpId), id(s.ceremony), octets(s.nonce), text(s.clientId), text(s.clientName), text(s.redirectHost), list([...s.scopes].sort()), id(s.person), id(s.key), number(s.notAfter)),
  "link-card": (s) => H("azukari/approve/link-card/v1", ...hers(s), octets(s.card)),
  signin: (s) => H("azukari/approve/signin/v1", ...hers(s), number(s.at)),
};

/// Refuses options whose challenge does not stand for this statement, made for this site.
export async function compare(form, statement, options) {
  const own = statement.rpId === location.hostname || location.hostname.endsWith(`.${statement.rpId}`);
  if (own && encode(await FORMS[form](statement)) === options.challenge) return;
  throw refusal("phone-statement-differs",
    "署名するものが、表示された内容と違います", "承認せず、窓口へお知らせください。",
    "What would be signed is not what was shown", "Do not approve, and tell the desk.");
}

/// The terms that a statement names, in both languages: what she agrees to is what she is shown, to
/// the octet, whatever edition came into force meanwhile.
export async function terms(hash) {
  let texts;
  try {
    const answer = await fetch(`/terms/${encodeURIComponent(hash)}`);
    if (answer.ok) texts = await answer.json();
  } catch { throw refusal("unreachable", "通信できませんでした", "電波の状態を確かめて、もう一度お試しください。", "There was no connection", "Check the reception and try again."); }
  const shown = texts && encode(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(texts.ja)));
  if (shown === hash) return texts;
  throw refusal("terms-differ", "利用規約が、署名するものと違います", "承認せず、窓口へお知らせください。", "The terms are not those that would be signed", "Do not approve, and tell the desk.");
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The first 40 bits of a root as eight characters of Base32, as the terminal shows them.
export function shortCode(root) {
  const bits = [...octets(root).slice(0, 5)].map((octet) => octet.toString(2).padStart(8, "0")).join("");
  return bits.match(/.{5}/g).map((five) => ALPHABET[parseInt(five, 2)]).join("");
}
