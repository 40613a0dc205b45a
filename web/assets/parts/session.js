// A session ends when nothing is done: the server says how long is left (asking keeps nobody signed in), a tap makes it longer.
const WARN = 5 * 60;
const AT_ONCE = 1;
const AGAIN = 30;

const headers = JSON.parse(document.body.getAttribute("hx-headers:inherited"));
let timer = 0;
let box = null;

// The words, in the reader's language; none before the server has been reached.
export const words = () => box?.dataset;

async function ask() {
  clearTimeout(timer);
  const answer = await fetch("/stay", { redirect: "manual" }).catch(() => null);
  // Ended, and the server says so: to the door, which says why and leads back here.
  if (answer?.type === "opaqueredirect") return document.dispatchEvent(new Event("ended"));
  if (!answer?.ok) return wait(AGAIN);
  const fresh = document.createRange().createContextualFragment(await answer.text()).firstElementChild;
  const left = Number(fresh.dataset.left);
  if (!box) document.body.append(box = fresh);
  warn(left);
}

function wait(seconds) {
  clearTimeout(timer);
  timer = setTimeout(ask, Math.max(AT_ONCE, seconds) * 1_000);
}

function warn(left) {
  const soon = box.querySelector("[data-soon]");
  if (left > WARN) {
    soon.hidden = true;
    return wait(left - WARN);
  }
  const line = soon.querySelector("p");
  const minutes = Math.round(left / 60);
  if (soon.hidden) line.textContent = minutes > 1 ? line.dataset.minutes.replace("%", minutes) : line.dataset.soon;
  soon.hidden = false;
  // Somebody may have gone on in another window meanwhile.
  wait(Math.min(left + AT_ONCE, AGAIN));
}

async function stay() {
  const answer = await fetch("/stay", { method: "POST", headers, redirect: "manual" }).catch(() => null);
  if (answer?.ok) warn(Number(answer.headers.get("Session-Left")));
  else ask();
}

addEventListener("click", (event) => { if (event.target.closest?.("[data-stay]")) stay(); });
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") ask(); });
ask();
