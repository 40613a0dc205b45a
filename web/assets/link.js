// A link from a message: what stands after # never leaves the browser until it is posted, and is gone from the history.
const form = document.getElementById("open-link");
const token = location.hash.slice(1);
if (form && token) {
  history.replaceState(null, "", location.pathname);
  form.elements.namedItem("token").value = token;
  form.submit();
}
