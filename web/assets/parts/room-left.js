// How many characters are left in a long answer: <textarea data-room="500" data-room-words="… % …" data-over-words="… % …">.
import { onPage } from "./page.js";

onPage(() => {
  for (const area of document.querySelectorAll("textarea[data-room]")) {
    const line = document.getElementById(`${area.id}-room`);
    const tell = () => {
      const left = Number(area.dataset.room) - [...area.value.trim()].length;
      line.textContent = (left < 0 ? area.dataset.overWords : area.dataset.roomWords).replace("%", Math.abs(left));
      line.classList.toggle("over", left < 0);
    };
    area.addEventListener("input", tell);
    tell();
  }
});
