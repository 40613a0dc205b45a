// Kindness around forms: the list of faults takes focus, a form is sent once, an answer is saved as it is given.
document.querySelector("[data-faults]")?.focus();

// Nobody tells us that a sending was stopped, so after a while the button works again.
const STOPPED = 6_000;
addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) event.preventDefault();
  else if (form.method === "post" && !form.hasAttribute("hx-post") && !event.defaultPrevented) {
    form.dataset.sent = "1";
    setTimeout(() => { delete form.dataset.sent; }, STOPPED);
  }
});

// Coming back with the browser's back button shows a page that may be sent again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// A page kept by the browser after signing out must not show itself again.
addEventListener("pageshow", (event) => {
  if (event.persisted && document.body.dataset.signedIn === "yes") location.reload();
});

// Print buttons: <button data-print>.
addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) print();
});

// A part of the page that could not be fetched: say so, keep what is on the screen.
const trouble = document.querySelector("[data-trouble]");
const say = (event) => { trouble.hidden = (event.detail?.ctx?.response?.raw?.status ?? 500) < 500; };
addEventListener("htmx:error", say);
addEventListener("htmx:response:error", say);
addEventListener("htmx:before:request", () => { trouble.hidden = true; });
