// "Les opp": reads the page's main text, sentence by sentence, with the device's own voice. No voice, no button.
import { onPage } from "./page.js";

const voices = { nb: ["nb", "no", "nn"], nn: ["nn", "nb", "no"], se: [], en: ["en"] };

function voice() {
  const wanted = voices[document.documentElement.lang] ?? [];
  const all = speechSynthesis.getVoices();
  for (const lang of wanted) {
    const found = all.find((v) => v.lang.toLowerCase().startsWith(lang));
    if (found) return found;
  }
  return null;
}

function blocks() {
  const main = document.querySelector("main");
  return [...main.querySelectorAll("h1, h2, h3, p, li, legend, label, dt, dd")].filter(
    (el) => el.innerText.trim() && !el.querySelector("h1, h2, h3, p, li, label") && el.offsetParent && !el.closest("[data-silent]"),
  );
}

if ("speechSynthesis" in window) {
  const button = () => document.querySelector("[data-read-aloud]");
  let marked = null;
  const mark = (el) => {
    marked?.classList.remove("reading");
    el?.classList.add("reading");
    marked = el;
  };
  const say = (reading) => {
    const { dataset } = button();
    button().setAttribute("aria-pressed", String(reading));
    button().querySelector("[data-word]").textContent = reading ? dataset.stop : dataset.start;
  };
  const stop = () => {
    speechSynthesis.cancel();
    mark(null);
    if (button()) say(false);
  };
  const start = () => {
    const speaker = voice();
    say(true);
    const queue = blocks();
    queue.forEach((el, at) => {
      const said = new SpeechSynthesisUtterance(el.innerText);
      said.voice = speaker;
      said.lang = speaker.lang;
      said.rate = 0.9;
      said.onstart = () => mark(el);
      said.onend = () => at === queue.length - 1 && el.isConnected && stop();
      speechSynthesis.speak(said);
    });
  };
  const offer = () => { if (button()) button().hidden = !voice(); };
  onPage(() => {
    stop();
    offer();
  });
  speechSynthesis.addEventListener?.("voiceschanged", offer);
  addEventListener("click", (event) => {
    if (event.target.closest("[data-read-aloud]")) button().getAttribute("aria-pressed") === "true" ? stop() : start();
  });
  addEventListener("pagehide", () => speechSynthesis.cancel());
}
