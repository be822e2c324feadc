// Plays the steps of a search: play or pause, one step back or on, and a slider. The clock runs in the browser.

function button(text, name, act) {
  const node = Object.assign(document.createElement("button"), { type: "button", textContent: text, title: name });
  node.className = "simmore-button";
  node.setAttribute("aria-label", name);
  node.onclick = act;
  return node;
}

/** The step shown, and whether the steps follow one another. A search that nothing was seen of plays from its start. */
function now(model) {
  const [search, step, playing] = model.get("seen"), last = model.get("max");
  return search === model.get("search") ? { step: Math.min(step, last), playing, last } : { step: 0, playing: last > 0, last };
}

function show(model, step, playing) {
  model.set("seen", [model.get("search"), Math.max(0, Math.min(step, model.get("max"))), playing]);
  model.save_changes();
}

export default {
  /** Once for all views: the clock. */
  initialize({ model }) {
    let clock, plays = false;
    const tick = () => {
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      const { step, last } = now(model), next = still ? last : step + 1;
      show(model, next, next < last);
    };
    const wind = () => {
      const { playing } = now(model);
      if (playing === plays) return;
      plays = playing;
      clearInterval(clock);
      if (plays) clock = setInterval(tick, model.get("interval"));
    };
    model.on("change", wind);
    wind();
    return () => clearInterval(clock);
  },

  render({ model, el }) {
    const box = Object.assign(document.createElement("div"), { className: "simmore-player" });
    const toggle = () => {
      const { step, playing, last } = now(model);
      show(model, step >= last && !playing ? 0 : step, !playing);
    };
    const play = button("▶", "play", toggle);
    const back = button("◀", "one step back", () => show(model, now(model).step - 1, false));
    const forth = button("▶|", "one step on", () => show(model, now(model).step + 1, false));
    const slider = Object.assign(document.createElement("input"), { type: "range", min: 0, step: 1 });
    slider.setAttribute("aria-label", "step");
    slider.oninput = () => show(model, Number(slider.value), false);
    const place = document.createElement("span");
    box.append(play, back, slider, forth, place);
    el.append(box);
    const draw = () => {
      const { step, playing, last } = now(model);
      slider.max = last;
      slider.value = step;
      place.textContent = `step ${step} of ${last}`;
      slider.setAttribute("aria-valuetext", place.textContent);
      play.textContent = playing ? "❚❚" : "▶";
      play.title = playing ? "pause" : "play";
      play.setAttribute("aria-label", play.title);
    };
    model.on("change", draw);
    draw();
    return () => model.off("change", draw);
  },
};
