// The page's only script: sends what a visitor does as JSON, then fetches the page again and puts
// its <main> in place. Everything that is shown is made by the server, once.
"use strict";

let busy = false;

const town = () => document.getElementById("town");
const revision = () => Number(document.body.dataset.revision);

function contents(form) {
  if (form.dataset.json) return JSON.parse(form.dataset.json);
  const fields = Object.fromEntries(new FormData(form));
  // A textarea is sent with CR LF by convention; records have LF alone.
  for (const name of Object.keys(fields)) fields[name] = fields[name].replace(/\r\n/g, "\n");
  return "amounts" in form.dataset ? { amounts: fields } : fields;
}

function trouble(title, advice, code) {
  const box = document.getElementById("trouble");
  box.replaceChildren();
  for (const [tag, text] of [["strong", title], ["p", advice], ["code", code]]) {
    if (!text) continue;
    const line = document.createElement(tag);
    line.textContent = text;
    box.append(line);
  }
  box.hidden = false;
  box.scrollIntoView({ block: "center" });
}

const japanese = () => document.documentElement.lang === "ja";

async function refresh(from) {
  const answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" } });
  if (!answer.ok) throw new Error(String(answer.status));
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  const before = document.querySelector(".step.current")?.id;
  const open = [...town().querySelectorAll("details[open]")].map(place);
  const active = document.activeElement?.id;

  town().replaceChildren(...document.importNode(next.getElementById("town"), true).childNodes);
  document.body.dataset.revision = next.body.dataset.revision;
  for (const details of town().querySelectorAll("details")) {
    if (open.includes(place(details))) details.open = true;
  }

  const said =
    town().querySelector(".scene .phone .ask") ??
    (from && town().querySelector(`#${from} .refusal, #${from} .summary`));
  document.getElementById("live").textContent = said ? said.textContent.trim() : "";
  const current = document.querySelector(".step.current");
  const scene = current?.querySelector(".scene");
  const refused = from && town().querySelector(`#${from} > .body > .refusal`);
  if (refused) {
    show(document.getElementById(from));
  } else if (scene) {
    const field = scene.querySelector("input");
    (field ?? current.querySelector("h2")).focus({ preventScroll: true });
    if (from) scene.scrollIntoView({ block: "nearest" });
  } else if (current && current.id !== before) {
    show(current);
  } else if (active) {
    document.getElementById(active)?.focus({ preventScroll: true });
  }
}

function show(section) {
  section.querySelector("h2").focus({ preventScroll: true });
  section.scrollIntoView({ block: "start" });
}

// A name for a details element that outlives the exchange of the page: its step and its position.
function place(details) {
  const step = details.closest(".step");
  return step ? `${step.id}/${[...step.querySelectorAll("details")].indexOf(details)}` : "";
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.post) return;
  event.preventDefault();
  if (busy || (form.dataset.ask && !confirm(form.dataset.ask))) return;
  busy = true;
  const button = event.submitter;
  town().setAttribute("aria-busy", "true");
  if (button) button.disabled = true;
  document.getElementById("trouble").hidden = true;
  try {
    const answer = await fetch(form.dataset.post, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(contents(form)),
    });
    if (answer.ok) {
      await refresh(form.closest(".step")?.id ?? form.querySelector("button")?.closest(".step")?.id);
    } else {
      const problem = await answer.json().catch(() => ({}));
      trouble(
        japanese() ? (problem.title ?? "受け付けられませんでした") : (problem.title_en ?? "This was not accepted"),
        japanese() ? problem.advice : (problem.advice_en ?? problem.advice),
        [problem.code, problem.reference].filter(Boolean).join(" · "),
      );
    }
  } catch {
    trouble(
      japanese() ? "模擬の町に届きません" : "The town cannot be reached",
      japanese()
        ? "「azukari demo」が動いているか確かめて、もう一度押してください。"
        : "Check that “azukari demo” is running, then press again.",
    );
  } finally {
    busy = false;
    town().removeAttribute("aria-busy");
    if (button) button.disabled = false;
  }
});

// Somebody else may have acted: an outside program, a second window, the clock.
async function watch() {
  const typing = document.activeElement?.matches("textarea, input");
  if (!busy && !document.hidden && !typing) {
    try {
      const state = await (await fetch("/demo/state")).json();
      if (!busy && state.revision !== revision()) await refresh();
    } catch {
      // The next press of a button says so.
    }
  }
  setTimeout(watch, document.querySelector(".scene") ? 2000 : 5000);
}
setTimeout(watch, 5000);
