// What every page gets but those of the desk. One import per behaviour.
import "htmx.org";
import "./parts/readaloud.js";
import "./parts/fetched.js";
import "./parts/forms.js";
import "./parts/room-left.js";
import "./parts/push.js";
