// "Les opp": reads the page's main text, sentence by sentence, with the device's own voice. No voice, no button.
const voices = { nb: ["nb", "no", "nn"], nn: ["nn", "nb", "no"], se: [], en: ["en"] };
const button = document.querySelector("[data-read-aloud]");

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

if (button && "speechSynthesis" in window) {
  const word = button.querySelector("[data-word]");
  let marked = null;
  const mark = (el) => {
    marked?.classList.remove("reading");
    el?.classList.add("reading");
    marked = el;
  };
  const stop = () => {
    speechSynthesis.cancel();
    mark(null);
    button.setAttribute("aria-pressed", "false");
    word.textContent = button.dataset.start;
  };
  const start = () => {
    const speaker = voice();
    button.setAttribute("aria-pressed", "true");
    word.textContent = button.dataset.stop;
    const queue = blocks();
    queue.forEach((el, at) => {
      const said = new SpeechSynthesisUtterance(el.innerText);
      said.voice = speaker;
      said.lang = speaker.lang;
      said.rate = 0.9;
      said.onstart = () => mark(el);
      said.onend = () => at === queue.length - 1 && stop();
      speechSynthesis.speak(said);
    });
  };
  const offer = () => { button.hidden = !voice(); };
  offer();
  speechSynthesis.addEventListener?.("voiceschanged", offer);
  button.addEventListener("click", () => (button.getAttribute("aria-pressed") === "true" ? stop() : start()));
  addEventListener("pagehide", () => speechSynthesis.cancel());
}
