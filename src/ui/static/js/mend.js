// Gives elements that a vendor's script draws the attributes that it forgets.

/** rules: [selector, attribute, value]; whatever appears below `root` later gets them too. */
export function mend(root, rules) {
  let isWaiting = false;
  function apply() {
    isWaiting = false;
    for (const [selector, attribute, value] of rules) {
      for (const one of root.querySelectorAll(selector)) {
        if (one.getAttribute(attribute) !== value) one.setAttribute(attribute, value);
      }
    }
  }
  const observer = new MutationObserver(() => {
    if (!isWaiting) requestAnimationFrame(apply);
    isWaiting = true;
  });
  observer.observe(root, { childList: true, subtree: true });
  apply();
}
