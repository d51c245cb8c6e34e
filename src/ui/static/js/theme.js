// Sets the theme before the first paint; a classic script in the head, because modules run later.
"use strict";

(() => {
  const element = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  function apply(choice) {
    if (choice === "light" || choice === "dark") element.dataset.theme = choice;
    else delete element.dataset.theme;
    const isDark = choice === "dark" || (choice !== "light" && system.matches);
    element.classList.toggle("dark-mode", isDark); // the class that Swagger UI knows
    element.dispatchEvent(new CustomEvent("themechange", { detail: { isDark } }));
  }

  function stored() {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // a browser may forbid storage
    }
  }

  apply(stored());
  system.addEventListener("change", () => apply(stored()));
  element.setTheme = (choice) => {
    try {
      if (choice) localStorage.setItem("theme", choice);
      else localStorage.removeItem("theme");
    } catch {
      // The choice then holds until the page is left.
    }
    apply(choice);
  };
})();
