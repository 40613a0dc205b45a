// The service worker: shows what came – always something –, tells the server that it was shown, and opens it when tapped.
// What it shows tells a stranger no more than that there is a message.
const NAME = "Følge";
const NEUTRAL = { nb: "Du har en melding.", nn: "Du har ei melding.", se: "Dutnje lea diehtu.", en: "You have a message." };

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

// Browsers end a subscription that gets a push and shows nothing, so there is no way past showNotification.
addEventListener("push", (event) => event.waitUntil(show(read(event.data))));

addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data?.url));
});

// The browser has given the device a new address. Without a session the next page that is opened tells it.
addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew().catch(() => {})));

function read(data) {
  try {
    const said = data.json();
    return said && typeof said === "object" ? said : {};
  } catch {
    return {};
  }
}

async function show(said) {
  const language = said.lang in NEUTRAL ? said.lang : (navigator.language ?? "nb").slice(0, 2);
  const neutral = { body: NEUTRAL[language] ?? NEUTRAL.nb, lang: language };
  const text = (value) => (typeof value === "string" && value ? value : undefined);
  try {
    await registration.showNotification(text(said.title) ?? NAME, {
      body: text(said.body) ?? neutral.body,
      lang: language,
      tag: text(said.tag),
      renotify: Boolean(text(said.tag)),
      data: { url: text(said.url) },
    });
  } catch {
    await registration.showNotification(NAME, neutral);
  }
  if (text(said.ack)) await tell(said.ack);
}

// Without this word the message comes as SMS too: so once more, if it does not get away.
async function tell(id) {
  const options = { method: "POST", body: JSON.stringify({ id }), keepalive: true, credentials: "omit" };
  for (let tries = 0; tries < 2; tries += 1) {
    try {
      if ((await fetch("/hooks/push/ack", options)).ok) return;
    } catch {
      // Away: the second try, or the SMS.
    }
  }
}

async function open(address) {
  let target = new URL("/", location.origin);
  try {
    const wanted = new URL(address ?? "/", location.origin);
    if (wanted.origin === location.origin) target = wanted;
  } catch {
    // No address at all: the front page.
  }
  const windows = await clients.matchAll({ type: "window", includeUncontrolled: true });
  const there = windows.find((one) => one.url === target.href);
  await (there ? there.focus() : clients.openWindow(target.href));
}

async function renew() {
  const answer = await fetch("/push/key", { redirect: "error", headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const { key, token } = await answer.json();
  const options = { userVisibleOnly: true, applicationServerKey: key };
  const { endpoint, keys } = (await registration.pushManager.subscribe(options)).toJSON();
  const body = new URLSearchParams({ endpoint, p256dh: keys.p256dh, auth: keys.auth });
  await fetch("/push/subscription", { method: "POST", body, headers: { "X-CSRF-Token": token }, redirect: "error" });
}
