// Shortcuts for staff: `?` shows them, a link or button with data-key="n" answers to that key. Never while typing.
const dialog = document.querySelector("dialog.keys");

function typing(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

function rows() {
  const list = dialog.querySelector("dl");
  list.querySelectorAll("[data-found]").forEach((el) => el.remove());
  for (const el of document.querySelectorAll("[data-key]")) {
    const key = document.createElement("dt");
    const what = document.createElement("dd");
    key.dataset.found = what.dataset.found = "";
    key.append(Object.assign(document.createElement("kbd"), { textContent: el.dataset.key }));
    what.textContent = el.dataset.keyWord ?? el.innerText.trim();
    list.append(key, what);
  }
}

if (dialog) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (event.key === "?") {
      rows();
      dialog.showModal();
      return;
    }
    if (dialog.open) return;
    const el = [...document.querySelectorAll("[data-key]")].find((each) => each.dataset.key === event.key);
    if (el) {
      event.preventDefault();
      if (el.matches("input, textarea, select")) el.focus();
      else el.click();
    }
  });
}
