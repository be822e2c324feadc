// Plays the steps of a search: play or pause, one step back or on, and a slider. The clock runs in the browser.

function button(text, name, act) {
  const node = Object.assign(document.createElement("button"), { type: "button", textContent: text, title: name });
  node.className = "simmore-button";
  node.setAttribute("aria-label", name);
  node.onclick = act;
  return node;
}

function set(model, value, playing) {
  model.set("value", Math.max(0, Math.min(value, model.get("max"))));
  model.set("playing", playing);
  model.save_changes();
}

export default {
  /** Once for all views: the clock. */
  initialize({ model }) {
    let clock;
    const tick = () => {
      const last = model.get("max"), still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      const next = still ? last : model.get("value") + 1;
      set(model, next, next < last);
    };
    const wind = () => {
      clearInterval(clock);
      if (model.get("playing")) clock = setInterval(tick, model.get("interval"));
    };
    // a new search starts at its first step, so the old one must not go on while the kernel computes
    const pause = (event) => {
      if (event.target.closest?.(".simmore .mod-primary")) set(model, model.get("value"), false);
    };
    model.on("change:playing", wind);
    addEventListener("click", pause, true);
    wind();
    return () => {
      clearInterval(clock);
      removeEventListener("click", pause, true);
    };
  },

  render({ model, el }) {
    const box = Object.assign(document.createElement("div"), { className: "simmore-player" });
    const toggle = () => {
      const ended = model.get("value") >= model.get("max");
      set(model, ended && !model.get("playing") ? 0 : model.get("value"), !model.get("playing"));
    };
    const play = button("▶", "play", toggle);
    const back = button("◀", "one step back", () => set(model, model.get("value") - 1, false));
    const forth = button("▶|", "one step on", () => set(model, model.get("value") + 1, false));
    const slider = Object.assign(document.createElement("input"), { type: "range", min: 0, step: 1 });
    slider.setAttribute("aria-label", "step");
    slider.oninput = () => set(model, Number(slider.value), false);
    const place = document.createElement("span");
    box.append(play, back, slider, forth, place);
    el.append(box);
    const show = () => {
      const [value, last, playing] = ["value", "max", "playing"].map((name) => model.get(name));
      slider.max = last;
      slider.value = value;
      place.textContent = `step ${value} of ${last}`;
      slider.setAttribute("aria-valuetext", place.textContent);
      play.textContent = playing ? "❚❚" : "▶";
      play.title = playing ? "pause" : "play";
      play.setAttribute("aria-label", play.title);
    };
    model.on("change", show);
    show();
    return () => model.off("change", show);
  },
};
