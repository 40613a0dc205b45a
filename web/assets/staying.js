// Fetched by whoever writes, or stays on a page for long (parts/fetched.js): what is typed is kept, and said is when the session ends.
import "./parts/drafts.js";
import "./parts/session.js";
