// A link that carries the explorer's state in its fragment, which the browser sends to no server.

const MARK = "#simmore?";

export default {
  render({ model, el }) {
    const copy = Object.assign(document.createElement("button"), { type: "button", textContent: "Copy link" });
    copy.className = "simmore-button";
    copy.title = "a link that shows the same devices, settings and search";
    const said = Object.assign(document.createElement("span"), { className: "simmore-note", role: "status" });
    el.append(Object.assign(document.createElement("div"), { className: "simmore-files" }));
    el.lastChild.append(copy, said);

    const read = () => {
      if (!location.hash.startsWith(MARK)) return;
      model.set("wanted", location.hash.slice(MARK.length));
      model.save_changes();
    };
    copy.onclick = async () => {
      const address = new URL(location.href);
      address.searchParams.delete("token"); // of the reader's own server
      address.hash = MARK + model.get("state");
      history.replaceState(history.state, "", address);
      said.textContent = await navigator.clipboard.writeText(address.href).then(
        () => "copied",
        () => "the link is in the address bar",
      );
    };
    model.on("change:state", () => (said.textContent = ""));
    addEventListener("hashchange", read);
    read();
    return () => removeEventListener("hashchange", read);
  },
};
