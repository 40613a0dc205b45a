// A page that came in place of another (hx-target="#page") is met as one that was loaded: from its top, its faults or its heading first.
const PAGE = "page";
const arrived = [];

// Does it for the page as it was loaded, and for each that comes in its place.
export function onPage(meet) {
  arrived.push(meet);
  meet();
}

addEventListener("htmx:after:swap", (event) => {
  if (event.target.id !== PAGE) return;
  scrollTo(0, 0);
  const first = document.querySelector("[data-faults]") ?? document.querySelector("h1");
  first.tabIndex = -1;
  first.focus({ preventScroll: true });
  for (const meet of arrived) meet();
});
