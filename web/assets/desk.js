// What the pages of the desk get.
import "htmx.org";
import "./parts/keys.js";
import "./parts/fetched.js";
import "./parts/forms.js";
import "./parts/fresh.js";
