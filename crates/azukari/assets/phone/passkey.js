// The phone's key. Options come and answers go as the JSON of Web Authentication Level 3; browsers
// that lack its conversions get them here.
import { refusal } from "./ask.js";

export const decode = (text) => {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (c) => c.charCodeAt(0));
};
export const encode = (octets) => btoa(String.fromCharCode(...new Uint8Array(octets)))
  .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const described = (list) => (list ?? []).map((one) => ({ ...one, id: decode(one.id) }));

/// How this browser can hold a key: "ready"; "unlocked" where there is no screen lock; "none".
export async function ability() {
  if (!window.PublicKeyCredential || !navigator.credentials?.create) return "none";
  try {
    return await PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable() ? "ready" : "unlocked";
  } catch { return "none"; }
}

/// Whether the browser can say without a window that it holds none of our keys.
export async function looksAtOnce() {
  try { return (await PublicKeyCredential.getClientCapabilities()).immediateGet === true; } catch { return false; }
}

/// The id of a key of this site that the phone holds already; nothing where it holds none, or where
/// the browser cannot tell without troubling its owner.
export async function held(rpId) {
  if (!await looksAtOnce()) return null;
  try {
    const found = await navigator.credentials.get({
      publicKey: { challenge: crypto.getRandomValues(new Uint8Array(32)), rpId, userVerification: "discouraged" },
      uiMode: "immediate",
    });
    return found ? found.id : null;
  } catch { return null; }
}

function explained(error) {
  switch (error.name) {
    case "NotAllowedError": case "AbortError":
      return refusal("passkey-cancelled",
        "指紋・顔などの確認が取り消されたか、時間切れになりました", "もう一度お試しください。確認の画面が出ないときは、画面ロックが有効か確かめてください。",
        "The check by finger or face was cancelled or took too long", "Try again. If nothing appears, see whether the phone has a screen lock.");
    case "InvalidStateError":
      return refusal("passkey-exists",
        "このスマートフォンには、すでに鍵が登録されています", "そのままお使いください。",
        "This phone already holds a key", "Just use it.");
    case "NotSupportedError": case "ConstraintError":
      return refusal("screen-lock-missing",
        "このスマートフォンでは、まだ本人確認ができません", "画面ロック（指紋・顔・暗証番号）を設定してください。",
        "This phone cannot verify you yet", "Set a screen lock (finger, face or PIN).");
    case "SecurityError":
      return refusal("passkey-wrong-site",
        "このアドレスでは鍵を使えません", "QRコードを読み取って開き直してください。アドレス欄が窓口の案内と同じか確かめてください。",
        "The key cannot be used at this address", "Scan the QR code again, and compare the address with the one you were told.");
    default:
      return refusal("passkey-failed",
        "スマートフォンの鍵を使えませんでした", "スマートフォンを再起動して、もう一度お試しください。",
        "The phone's key could not be used", "Restart the phone and try again.");
  }
}

async function told(act) {
  try { return await act(); } catch (error) { throw explained(error); }
}

function answer(credential, response) {
  return {
    id: credential.id, rawId: encode(credential.rawId), type: credential.type,
    ...(credential.authenticatorAttachment && { authenticatorAttachment: credential.authenticatorAttachment }),
    response, clientExtensionResults: credential.getClientExtensionResults(),
  };
}

/// Makes a key (RegistrationResponseJSON).
export async function create(options) {
  const publicKey = { ...options, challenge: decode(options.challenge),
    user: { ...options.user, id: decode(options.user.id) },
    excludeCredentials: described(options.excludeCredentials) };
  const made = await told(() => navigator.credentials.create({ publicKey }));
  const response = made.response;
  return answer(made, {
    clientDataJSON: encode(response.clientDataJSON),
    attestationObject: encode(response.attestationObject),
    transports: response.getTransports?.() ?? [],
  });
}

/// Signs with the key (AuthenticationResponseJSON).
export async function get(options) {
  const publicKey = { ...options, challenge: decode(options.challenge),
    allowCredentials: described(options.allowCredentials) };
  const made = await told(() => navigator.credentials.get({ publicKey }));
  const response = made.response;
  return answer(made, {
    clientDataJSON: encode(response.clientDataJSON),
    authenticatorData: encode(response.authenticatorData),
    signature: encode(response.signature),
    userHandle: response.userHandle ? encode(response.userHandle) : null,
  });
}
