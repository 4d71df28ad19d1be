// Before anything is drawn: the theme that the button chose last time (see theme.js). Not a module, so it comes first.
"use strict";
const chosen = localStorage.getItem("embedding-service-theme");
if (chosen) document.documentElement.dataset.theme = chosen;
