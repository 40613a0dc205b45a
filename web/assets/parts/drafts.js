// What is typed in a form with a draft (a hidden field of that name) is kept on the server as it is typed.
import { words } from "./session.js";

const QUIET = 1_000;
const AT_LEAST_EVERY = 5_000;
const PATIENCE = 20_000;
const AGAIN = [2_000, 5_000, 15_000, 30_000];

const forms = new Map();

// Where there is only something to choose, the answer itself is as quickly sent.
const kept = (form) => form instanceof HTMLFormElement && form.elements.namedItem("draft") && form.querySelector("textarea");

function of(form) {
  if (!forms.has(form)) forms.set(form, { since: 0, tries: 0, timer: 0, sending: null, sent: false });
  return forms.get(form);
}

function tell(form, word) {
  const text = words()?.[word];
  if (!text) return;
  let line = form.querySelector("[data-draft-line]");
  if (!line) {
    line = Object.assign(document.createElement("p"), { className: "by" });
    line.dataset.draftLine = "";
    line.setAttribute("role", "status");
    form.append(line);
  }
  if (line.textContent !== text) line.textContent = text;
}

function soon(form) {
  const draft = of(form);
  draft.since ||= Date.now();
  const wait = Math.max(0, Math.min(QUIET, draft.since + AT_LEAST_EVERY - Date.now()));
  clearTimeout(draft.timer);
  draft.timer = setTimeout(() => keep(form), wait);
}

// One at a time: what is typed meanwhile goes with the next.
async function keep(form) {
  const draft = of(form);
  clearTimeout(draft.timer);
  if (draft.sent || !draft.since || draft.sending || !form.isConnected) return;
  draft.since = 0;
  const mine = (draft.sending = new AbortController());
  const enough = setTimeout(() => mine.abort(), PATIENCE);
  const ok = await post(form, mine.signal);
  clearTimeout(enough);
  draft.sending = null;
  if (draft.sent) return;
  tell(form, ok ? "kept" : "away");
  if (ok) draft.tries = 0;
  else draft.since ||= Date.now();
  if (draft.since) draft.timer = setTimeout(() => keep(form), ok ? QUIET : AGAIN[Math.min(draft.tries++, AGAIN.length - 1)]);
}

// A session that has ended is answered by the way to sign in: what was typed is kept all the same.
async function post(form, signal) {
  try {
    const body = new URLSearchParams(new FormData(form));
    // What outlives its page may not be larger than 64 kB.
    const keepalive = body.toString().length < 60_000;
    const answer = await fetch("/drafts", { method: "POST", body, redirect: "manual", keepalive, signal });
    return answer.ok || answer.type === "opaqueredirect";
  } catch {
    return false;
  }
}

for (const kind of ["input", "change"]) {
  addEventListener(kind, ({ target }) => {
    if (!kept(target.form)) return;
    of(target.form).sent = false;
    soon(target.form);
  });
}

// What is on its way to be sent is not kept once more behind it. Without a network it would leave the page for nothing.
addEventListener("submit", (event) => {
  const form = event.target;
  if (!kept(form) && form.id !== "throw-away") return;
  if (!navigator.onLine && form.id !== "throw-away") {
    event.preventDefault();
    event.stopImmediatePropagation();
    tell(form, "offline");
    return;
  }
  const place = event.submitter?.name === "draft" ? event.submitter.value : form.elements.namedItem("draft")?.value;
  for (const [one, draft] of forms) {
    if (one.elements.namedItem("draft").value !== place) continue;
    draft.sent = true;
    clearTimeout(draft.timer);
    draft.sending?.abort();
  }
}, true);

function again() {
  for (const [form, draft] of forms) {
    if (!form.isConnected) forms.delete(form);
    else if (draft.since) keep(form);
  }
}
addEventListener("online", again);
addEventListener("pagehide", again);
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") again(); });

// The session has ended: the door says so, and leads back to this page with what was typed.
document.addEventListener("ended", async () => {
  const unkept = [...forms].filter(([form, draft]) => form.isConnected && draft.since && !draft.sent);
  const all = await Promise.all(unkept.map(([form]) => post(form)));
  if (all.every(Boolean)) location.reload();
});

// What made the page fetch this.
if (kept(document.activeElement?.form)) soon(document.activeElement.form);

// A form sent by a script that did not get through is only typed again.
addEventListener("htmx:error", ({ target }) => {
  if (!kept(target)) return;
  of(target).sent = false;
  soon(target);
});
