// A guided tour: a card at the bottom of the window explains one part of the explorer after the other. The first visit
// starts with it. The browser remembers that it was seen.

const SEEN = "simmore-tour";

function seen() {
  try {
    return localStorage.getItem(SEEN) !== null;
  } catch {
    return true; // the browser keeps nothing, so it would ask every time
  }
}

function remember() {
  try {
    localStorage.setItem(SEEN, "seen");
  } catch {
    // nothing to do
  }
}

function button(text, act) {
  const node = Object.assign(document.createElement("button"), { type: "button", textContent: text, onclick: act });
  node.className = "simmore-button";
  return node;
}

export default {
  render({ model, el }) {
    const steps = model.get("steps");
    let now = 0, target = null;
    const card = Object.assign(document.createElement("section"), { className: "simmore-tour", popover: "manual" });
    card.setAttribute("aria-label", "Tour");
    const words = document.createElement("div");
    words.setAttribute("aria-live", "polite");
    const back = button("Back", () => show(now - 1)), next = button("Next", () => show(now + 1));
    const close = button("Close tour", () => end());
    const foot = Object.assign(document.createElement("div"), { className: "simmore-files" });
    foot.append(back, next, close);
    card.append(words, foot);
    const open = button("Tour", () => {
      show(0);
      next.focus();
    });
    open.title = "what the explorer shows, in a minute";
    el.append(open, card);

    const mark = (node) => {
      target?.classList.remove("simmore-toured");
      target = node;
      target?.classList.add("simmore-toured");
      target?.scrollIntoView({ block: "center" });
    };
    function show(k) {
      if (k >= steps.length) return end();
      now = k;
      const { title, text, at } = steps[k];
      const head = Object.assign(document.createElement("h3"), { textContent: `${k + 1} of ${steps.length} · ${title}` });
      words.replaceChildren(head, Object.assign(document.createElement("p"), { textContent: text }));
      back.disabled = k === 0;
      next.textContent = k + 1 < steps.length ? "Next" : "Done";
      if (!card.matches(":popover-open")) card.showPopover();
      mark(el.closest(".simmore")?.querySelector(at));
    }
    function end() {
      remember();
      mark(null);
      const within = card.contains(document.activeElement);
      card.hidePopover();
      if (within) open.focus();
    }
    card.addEventListener("keydown", (event) => event.key === "Escape" && end());
    const begin = () => (el.isConnected ? seen() || show(0) : setTimeout(begin, 100));
    begin();
    return () => mark(null);
  },
};
