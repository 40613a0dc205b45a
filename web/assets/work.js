// The page on which staff choose how they hear of cases: this phone may take push.
import "./parts/push.js";
