// Messages as notifications on this device: asked for by a tap, told to the server, kept true at every sign-in, and gone
// when the person leaves. Without any of this the messages come as SMS.
import { onPage } from "./page.js";

const { pushKey: key, pushOwner: owner, pushVisit: visit, pushTo: to = "/push/subscription", signedIn } = document.body.dataset;
const section = document.querySelector("[data-push]");
const offer = () => document.querySelector("[data-push-offer]");
// Whose device this is, by a name only the server can read: nobody else's sign-in may take it over unasked.
const MINE = "push-owner";
const TOLD = "push-told";
const LONGEST_WAIT = 12_000;
const supported = "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;
const token = () => JSON.parse(document.body.getAttribute("hx-headers:inherited"))["X-CSRF-Token"];

if (section) {
  for (const one of section.querySelectorAll("[data-push-start], [data-push-retry]")) one.addEventListener("click", () => start());
  section.querySelector("[data-push-stop]")?.addEventListener("click", () => stop());
}
if (key && supported) onPage(keepTrue);
else if (key) show(needsHomeScreen() ? "home-screen" : "unsupported");
else if (signedIn === "no" && location.pathname === "/signed-out" && supported) leave();

// One part of the section is seen at a time; what it says is read out, and focus stays on something that is there.
function show(state) {
  if (!section) return;
  const focused = section.contains(document.activeElement);
  for (const part of section.querySelectorAll("[data-push-state]")) part.hidden = part.dataset.pushState !== state;
  if (focused) (section.querySelector(`[data-push-state="${state}"] button`) ?? section).focus();
}

async function keepTrue() {
  try {
    let subscription = await current();
    if (subscription && (localStorage.getItem(MINE) !== owner || Notification.permission !== "granted")) {
      await subscription.unsubscribe();
      subscription = null;
    }
    if (!subscription) {
      show(Notification.permission === "denied" ? "denied" : "ready");
      if (offer()) offer().hidden = Notification.permission !== "default";
      return;
    }
    if (keyOf(subscription) !== key) {
      await subscription.unsubscribe();
      subscription = await subscribe();
    }
    if (sessionStorage.getItem(TOLD) !== visit) await tell("POST", subscription);
    on(subscription);
  } catch {
    show("ready");
  }
}

async function start() {
  show("waiting");
  try {
    // However long the person thinks about it.
    const permission = await Notification.requestPermission();
    if (permission !== "granted") return show(permission === "denied" ? "denied" : "ready");
    const subscription = await subscribe();
    localStorage.setItem(MINE, owner);
    await tell("POST", subscription, { asked: "yes" });
    on(subscription);
  } catch {
    localStorage.removeItem(MINE);
    show("failed");
  }
}

async function stop() {
  show("waiting");
  try {
    const subscription = await current();
    if (subscription) {
      await tell("DELETE", subscription);
      await within(subscription.unsubscribe());
    }
    localStorage.removeItem(MINE);
    show("ready");
  } catch {
    show("on");
    document.querySelector("[data-trouble]").hidden = false;
  }
}

function on(subscription) {
  show("on");
  // A work phone goes on being told after its person has signed out.
  if (owner.startsWith("work-")) return;
  // Signing out tells the server which device it was.
  for (const form of document.querySelectorAll("form[action='/sign-out']")) {
    const field = form.elements.namedItem("device") ?? form.appendChild(document.createElement("input"));
    Object.assign(field, { type: "hidden", name: "device", value: subscription.endpoint });
  }
}

async function leave() {
  if (localStorage.getItem(MINE)?.startsWith("work-")) return;
  localStorage.removeItem(MINE);
  await (await current())?.unsubscribe();
}

async function current() {
  const registration = await navigator.serviceWorker.getRegistration("/");
  return (await registration?.pushManager.getSubscription()) ?? null;
}

// Some browsers never answer when they cannot reach their push service.
async function subscribe() {
  await within(navigator.serviceWorker.register("/sw.js", { scope: "/" }));
  const { pushManager } = await within(navigator.serviceWorker.ready);
  return within(pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }));
}

async function tell(method, subscription, more = {}) {
  const { endpoint, keys } = subscription.toJSON();
  const body = new URLSearchParams({ endpoint, p256dh: keys.p256dh, auth: keys.auth, ...more });
  const answer = await within(
    fetch(to, { method, body, headers: { "X-CSRF-Token": token() }, redirect: "error" }),
  );
  if (!answer.ok) throw new Error("not kept");
  sessionStorage.setItem(TOLD, method === "POST" ? visit : "");
}

function within(promise) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error("no answer")), LONGEST_WAIT); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function keyOf(subscription) {
  const bytes = new Uint8Array(subscription.options.applicationServerKey ?? []);
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// An iPhone takes push only for what stands on its home screen.
function needsHomeScreen() {
  const apple = /iPhone|iPad|iPod/.test(navigator.userAgent) || (/Mac/.test(navigator.userAgent) && navigator.maxTouchPoints > 1);
  return apple && !navigator.standalone;
}
