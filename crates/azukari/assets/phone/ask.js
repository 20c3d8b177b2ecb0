// Asking the platform: JSON out, JSON in; a refusal comes as a problem document (RFC 9457) that
// already holds what to tell people.

export class Refused extends Error {
  constructor(problem) {
    super(problem.code);
    this.problem = problem;
  }
  get code() { return this.problem.code; }
}

/// A refusal that this page makes itself.
export const refusal = (code, title, advice, title_en, advice_en) =>
  new Refused({ code, title, advice, title_en, advice_en });

const unreachable = () => refusal("unreachable",
  "通信できませんでした", "電波の状態を確かめて、もう一度お試しください。ここまでの操作は失われていません。",
  "There was no connection", "Check the reception and try again. Nothing is lost.");

/// Waits no longer than this for an answer.
const PATIENCE_MS = 20_000;

export async function ask(path, body, headers = {}) {
  let answer, text;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    text = await answer.text();
  } catch { throw unreachable(); }
  let said;
  try { said = JSON.parse(text); } catch { throw unreachable(); }
  if (!answer.ok) throw new Refused(said);
  return said;
}
