// Who writes in a form that is kept, or stays for long, gets the script for it; pages where neither happens do not pull it.
const { stays, staysIn } = document.body.dataset;
let fetched = !stays;

function fetchIt() {
  if (fetched) return;
  fetched = true;
  document.head.append(Object.assign(document.createElement("script"), { src: stays }));
}

addEventListener("input", ({ target }) => {
  if (target.form?.elements.namedItem("draft") && target.form.querySelector("textarea")) fetchIt();
});
setTimeout(fetchIt, staysIn * 1_000);

// A posted page that was not taken is found again by its address: going back does not mean sending it once more.
const { address } = document.body.dataset;
if (address) history.replaceState(null, "", address.includes("#") ? address : address + location.hash);
