// Applies the stored theme (see theme.js) before the first paint. Not a module, because modules are deferred.
"use strict";
const chosen = localStorage.getItem("embedding-service-theme");
if (chosen) document.documentElement.dataset.theme = chosen;
