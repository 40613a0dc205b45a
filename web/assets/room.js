// The meeting: the waiting room with its tests, and the room itself. Signalling goes through the server, picture and sound do not.
import { Devices } from "./parts/devices.js";
import { Peer } from "./parts/peer.js";

const SIGNED_OUT = 4401;
const ELSEWHERE = 4409;
const NOT_OPEN = 4403;
const ENDED = 4410;
const MOVED = 4411;
// Well inside the time after which a session that is not used ends.
const STILL_HERE = 240_000;
const BACK_AGAIN = [500, 1_000, 2_000, 4_000, 8_000];

const root = document.querySelector("[data-meeting]");
const words = JSON.parse(root.dataset.words);
const host = root.dataset.host === "yes";
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const heading = document.querySelector('[data-part="heading"]');
const lead = document.querySelector('[data-part="lead"]');
const page = crypto.getRandomValues(new Uint32Array(2)).join("");
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

let socket;
let tries = 0;
let leaving = false;
let admitted = false;
let order = 0;
let iceServers = [];
let people = [];
let speaker = "";
const peers = new Map();
const tiles = new Map();
const calls = new Set();

const devices = new Devices(ownChanged, (level) => {
  for (const bars of root.querySelectorAll("[data-bars]")) bars.dataset.bars = level;
});

// --- the server ---------------------------------------------------------------------------------------------------------

function connect() {
  const address = new URL(root.dataset.socket, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  address.searchParams.set("page", page);
  socket = new WebSocket(address);
  // One after the other: a candidate must not overtake the description it belongs to.
  let line = Promise.resolve();
  socket.onmessage = ({ data }) => {
    line = line.then(() => hear(JSON.parse(data))).catch((error) => console.warn("meeting:", error.name));
  };
  socket.onopen = () => {
    tries = 0;
    say("");
    tell({ type: "media", ...devices.sending() });
  };
  socket.onclose = ({ code }) => {
    if (leaving) return;
    if (code === ENDED) return goTo(root.dataset.out);
    if (code === MOVED) return goTo(root.dataset.room);
    if (code >= 4400 && code !== 4408) return stop(code);
    say(words.server_lost);
    setTimeout(connect, BACK_AGAIN[Math.min(tries++, BACK_AGAIN.length - 1)]);
  };
}

function tell(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

async function hear(message) {
  if (message.type === "welcome") {
    iceServers = message.ice;
    for (const peer of peers.values()) peer.resume(iceServers);
  } else if (message.type === "people") {
    const wasIn = admitted;
    ({ admitted, order, people } = message);
    if (admitted && !wasIn) enterRoom();
    if (!admitted && wasIn) location.reload();
    if (admitted) meetPeople();
    showPeople();
  } else if (message.type === "signal") {
    await peerOf(message.from, message.page)?.receive(message);
  } else if (message.type === "left") {
    drop(message.id);
  } else if (message.type === "call_me") {
    if (!calls.has(message.id)) showCall(message);
    calls.add(message.id);
  } else if (message.type === "not_admitted") {
    say(words.let_in_failed);
    showPeople();
  }
}

// --- the others ---------------------------------------------------------------------------------------------------------

function meetPeople() {
  const here = people.filter((person) => person.state === "in" && person.page);
  for (const person of here) {
    const key = `${order}/${person.order}/${person.page}`;
    const peer = peers.get(person.id);
    if (peer && peer.page === person.page && (peer.key === key || peer.pc.connectionState === "connected")) {
      peer.key = key;
      peer.gone = false;
    } else {
      drop(person.id);
      if (order > person.order) begin(person.id, person.page, key, true);
    }
  }
  for (const [id, peer] of peers) {
    if (here.some((person) => person.id === id)) continue;
    // Only the way over the server broke; picture and sound may well go on.
    if (peer.pc.connectionState === "connected") peer.gone = true;
    else drop(id);
  }
  showTiles();
}

function begin(id, theirPage, key, newcomer) {
  const peer = new Peer({
    newcomer,
    iceServers,
    send: (content) => tell({ type: "signal", to: id, ...content }),
    tracks: () => devices.tracks,
    changed: () => {
      if (peer.gone && peer.pc.connectionState !== "connected") drop(id);
      showTiles();
    },
  });
  Object.assign(peer, { page: theirPage, key });
  peers.set(id, peer);
  return peer;
}

function peerOf(id, theirPage) {
  const peer = peers.get(id);
  if (peer?.page === theirPage) return peer;
  drop(id);
  const person = people.find((each) => each.id === id && each.page === theirPage);
  return person && begin(id, theirPage, `${order}/${person.order}/${theirPage}`, false);
}

function drop(id) {
  peers.get(id)?.close();
  peers.delete(id);
  showTiles();
}

// --- what is seen -------------------------------------------------------------------------------------------------------

function enterRoom() {
  heading.textContent = words.in_meeting;
  if (lead) lead.hidden = true;
  document.body.classList.add("in-room");
  part("controls").hidden = false;
  document.title = words.in_meeting;
  if (!host) heading.focus();
  navigator.wakeLock?.request("screen").catch(() => {});
  ownChanged();
}

function showPeople() {
  for (const list of root.querySelectorAll("[data-people]")) {
    list.replaceChildren(...(host ? [] : [ownRow()]), ...people.map((person) => personRow(person)));
  }
  part("here").hidden = false;
  if (host) {
    const waiting = people.filter((person) => person.state === "waiting");
    document.title = waiting.length ? `(${waiting.length}) ${words.in_meeting}` : words.in_meeting;
    part("waiting-news").textContent = waiting.map((person) => fill(words.waits, person)).join(" ");
  }
  showTiles();
}

function ownRow() {
  return Object.assign(document.createElement("li"), { textContent: words.you });
}

function personRow(person) {
  const row = part("person").content.cloneNode(true).firstElementChild;
  row.dataset.state = person.state;
  row.querySelector("[data-name]").textContent = person.line ? `${person.name} (${person.line})` : person.name;
  row.querySelector("[data-state-word]").textContent = words.states[person.state];
  const admit = row.querySelector("[data-admit]");
  if (admit && person.state === "waiting") {
    admit.hidden = false;
    admit.append(" ", Object.assign(document.createElement("span"), { className: "sr", textContent: person.name }));
    admit.addEventListener("click", () => {
      admit.disabled = true;
      tell({ type: "admit", id: person.id });
    });
  }
  return row;
}

function showTiles() {
  const stage = part("stage");
  for (const [id, tile] of tiles) {
    if (!peers.has(id)) {
      tile.remove();
      tiles.delete(id);
    }
  }
  for (const [id, peer] of peers) {
    const person = people.find((each) => each.id === id);
    const tile = tiles.get(id) ?? newTile(id);
    const video = tile.querySelector("video");
    give(video, peer.stream);
    if (video.srcObject && video.paused && peer.stream.getTracks().length) play(video);
    if (person) tile.querySelector("[data-name]").textContent = person.name;
    const name = tile.querySelector("[data-name]").textContent;
    const note = peer.state !== "connected" ? words.peer[peer.state] : missing(person);
    const shown = tile.querySelector("[data-note]");
    shown.textContent = fill(note, { name });
    shown.hidden = !note;
    tile.querySelector("[data-muted]").hidden = peer.state !== "connected" || person?.microphone !== false || person?.camera === false;
    tile.dataset.state = peer.state;
  }
  stage.dataset.count = tiles.size;
  part("tests").hidden = !devices.started || (host ? tiles.size > 0 : admitted);
  const caption = tiles.size ? "" : captionText();
  part("caption").textContent = caption;
  part("caption").hidden = !caption;
}

function missing(person) {
  if (person?.camera !== false) return "";
  return person.microphone ? words.no_camera : words.nothing;
}

// What stands under our own picture as long as there is nobody else's.
function captionText() {
  if (!admitted) return devices.tracks.video ? words.your_picture : devices.started ? words.no_own_picture : "";
  const waiting = people.find((person) => person.state === "waiting");
  if (host && waiting) return fill(words.waits, waiting);
  const coming = people.find((person) => person.state === "in");
  return coming ? fill(words.peer.new, coming) : words.alone;
}

function newTile(id) {
  const tile = part("tile").content.cloneNode(true).firstElementChild;
  const video = tile.querySelector("video");
  tiles.set(id, tile);
  tile.dataset.peer = id;
  if (speaker && video.setSinkId) video.setSinkId(speaker).catch(() => {});
  tile.querySelector("[data-sound]").addEventListener("click", () => play(video));
  part("stage").prepend(tile);
  return tile;
}

// A page is loaded when each of its videos has a first picture: given too early, one to which nothing comes keeps it loading
// for ever.
function give(video, stream) {
  if (document.readyState === "complete" && video.srcObject !== stream) video.srcObject = stream;
}

function play(video) {
  const button = video.closest("[data-peer]").querySelector("[data-sound]");
  video.play().then(
    () => { button.hidden = true; },
    (error) => { button.hidden = error.name !== "NotAllowedError"; },
  );
}

function showCall({ id, phone, shown }) {
  const person = people.find((each) => each.id === id);
  const box = part("calls");
  box.hidden = false;
  const row = document.createElement("p");
  row.append(fill(words.asks_for_call, { name: person?.name ?? "" }), " ");
  if (shown) row.append(Object.assign(document.createElement("a"), { href: phone, textContent: shown }));
  box.querySelector("[data-lines]").append(row);
}

function say(text) {
  const status = part("status");
  status.textContent = text;
  status.hidden = !text;
}

function stop(code) {
  for (const id of [...peers.keys()]) drop(id);
  say({ [SIGNED_OUT]: words.signed_out, [ELSEWHERE]: words.elsewhere }[code] ?? words.shut);
  part("reload").hidden = code === NOT_OPEN;
}

function goTo(address) {
  leaving = true;
  location.assign(address);
}

// --- our own camera and microphone ----------------------------------------------------------------------------------------

function ownChanged() {
  const { audio, video } = devices.tracks;
  for (const own of root.querySelectorAll("video[data-own]")) {
    const shown = own.srcObject?.getVideoTracks()[0];
    if (shown !== (video ?? undefined)) give(own, video ? new MediaStream([video]) : null);
    own.hidden = !video;
  }
  part("ask").hidden = devices.started;
  showTest("camera", video, devices.problems.video, words.camera_works);
  showTest("microphone", audio, devices.problems.audio, devices.heard ? words.heard : words.say_something);
  showTiles();
  for (const meter of root.querySelectorAll("[data-meter]")) meter.hidden = !audio;
  const troubles = [...new Set([devices.problems.video, devices.problems.audio].filter(Boolean))];
  part("trouble").hidden = !troubles.length;
  part("trouble-text").textContent = troubles.map((trouble) => words.trouble[trouble]).join(" ");
  showControl("microphone", devices.muted, Boolean(audio));
  showControl("camera", !video, Boolean(video) || devices.cameraOff);
  for (const peer of peers.values()) peer.attach();
  tell({ type: "media", ...devices.sending() });
  if (audio || video) offerChoices();
}

function showTest(name, track, problem, good) {
  const row = part(`test-${name}`);
  row.dataset.ok = track ? "yes" : "no";
  row.querySelector("[data-word]").textContent = track ? good : (words[name][problem] ?? words[name].off);
  row.querySelector("[data-ok]").hidden = !track || (name === "microphone" && !devices.heard);
  row.querySelector("[data-bad]").hidden = Boolean(track);
}

function showControl(name, off, possible) {
  const button = part(`switch-${name}`);
  button.disabled = devices.started && !possible;
  button.setAttribute("aria-pressed", String(off));
  button.querySelector("[data-on-icon]").hidden = off;
  button.querySelector("[data-off-icon]").hidden = !off;
  button.querySelector("[data-word]").textContent = words.switches[`${name}_${off ? "off" : "on"}`];
}

async function offerChoices() {
  for (const select of root.querySelectorAll("select[data-device]")) {
    const found = select.dataset.device === "audiooutput" && !("setSinkId" in HTMLMediaElement.prototype)
      ? [] : await devices.list(select.dataset.device);
    const current = select.dataset.device === "audiooutput" ? speaker
      : devices.tracks[select.dataset.device === "videoinput" ? "video" : "audio"]?.getSettings().deviceId;
    select.replaceChildren(...found.map(({ deviceId, label }) => new Option(label, deviceId, false, deviceId === current)));
    select.closest("[data-choice]").hidden = found.length === 0;
  }
  for (const box of root.querySelectorAll("[data-choices]")) {
    box.hidden = !box.querySelector("[data-choice]:not([hidden])");
  }
}

root.addEventListener("change", ({ target }) => {
  const device = target.dataset?.device;
  if (device === "videoinput") devices.choose("video", target.value);
  if (device === "audioinput") devices.choose("audio", target.value);
  if (device === "audiooutput") {
    speaker = target.value;
    for (const tile of tiles.values()) tile.querySelector("video").setSinkId(speaker).catch(() => {});
  }
});

document.getElementById("start").addEventListener("click", () => devices.start());
document.getElementById("again").addEventListener("click", () => devices.start());
document.getElementById("ding").addEventListener("click", () => devices.ding());
part("switch-microphone").addEventListener("click", () => (devices.started ? devices.mute(!devices.muted) : devices.start()));
part("switch-camera").addEventListener("click", () => {
  if (!devices.started) devices.start();
  else devices.hide(Boolean(devices.tracks.video));
});

addEventListener("pagehide", () => {
  leaving = true;
  tell({ type: "bye" });
  for (const peer of peers.values()) peer.close();
});

part("no-script").hidden = true;
part("live").hidden = false;
if (!("RTCPeerConnection" in window)) {
  say(words.no_video_here);
} else {
  connect();
  ownChanged();
  addEventListener("load", ownChanged);
  devices.allowedBefore().then((allowed) => allowed && devices.start());
  setInterval(() => tell({ type: "here" }), STILL_HERE);
}
