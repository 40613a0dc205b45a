// The worklist that stays open: its time is true, a new red case is heard and stands in the title, and a list that is no longer
// kept up to date says so. A browser lets a page sound only after a touch: until then the box is not ticked.
const one = (mark) => document.querySelector(`[data-${mark}]`);
const poller = one("fresh");

if (poller) {
  const box = one("sound");
  const { title } = document;
  let heard = 0;
  let sound;
  const open = async () => {
    sound ??= new AudioContext();
    await sound.resume();
    box.checked = true;
  };
  const ring = () => {
    if (!box.checked) return;
    const tone = new OscillatorNode(sound, { frequency: 784 });
    tone.connect(sound.destination);
    tone.start();
    tone.stop(sound.currentTime + 0.5);
  };
  box.parentNode.hidden = false;
  box.onchange = async () => {
    localStorage.sound = box.checked ? "on" : "";
    if (box.checked) await open();
    ring();
  };
  // Whoever has asked for sound has it from the first touch of the page.
  document.onpointerdown = document.onkeydown = () => localStorage.sound && !sound && open();

  // Signed out meanwhile, the page is taken to the sign-in (HX-Redirect).
  poller.addEventListener("htmx:after:request", ({ detail }) => {
    const answer = detail.ctx.response.raw;
    one("lost").hidden = answer.ok;
    const at = answer.headers.get("X-Fresh");
    if (at) one("fresh-at").textContent = at;
  });
  poller.addEventListener("htmx:error", () => { one("lost").hidden = false; });
  poller.addEventListener("htmx:after:swap", () => {
    const red = +(one("new-red")?.dataset.newRed ?? 0);
    document.title = red ? `(${red}) ${title}` : title;
    if (red > heard) ring();
    heard = red;
  });
}
