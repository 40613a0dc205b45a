// What every page gets. One import per behaviour; a page of its own kind (the room) is an entry file of its own beside this one.
import "htmx.org";
import "./parts/readaloud.js";
import "./parts/keys.js";
import "./parts/forms.js";
import "./parts/room-left.js";
import "./parts/push.js";
