// Files between the user's machine and the kernel: one upload, whose size is checked before it is sent, and downloads.

function button(text, title) {
  const node = Object.assign(document.createElement("button"), { type: "button", textContent: text, title });
  node.className = "simmore-button";
  return node;
}

/** Save a file on the user's machine, without a server. */
function save(name, type, content) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

async function send(model, file) {
  // after a larger message the server closes the connection
  const tooLarge = file.size > model.get("max_bytes");
  const content = tooLarge ? [] : [await file.arrayBuffer()];
  model.send({ name: file.name, bytes: file.size }, undefined, content);
}

export default {
  render({ model, el }) {
    const box = Object.assign(document.createElement("div"), { className: "simmore-files" });
    el.append(box);
    if (model.get("upload")) {
      const input = Object.assign(document.createElement("input"), { type: "file", accept: ".csv,text/csv", hidden: true });
      const open = button(model.get("upload"), "a table with the columns arch,latency_ms");
      open.onclick = () => input.click();
      input.onchange = () => {
        if (input.files.length) send(model, input.files[0]);
        input.value = ""; // so that the same file, corrected, can be chosen again
      };
      box.append(open, input);
    }
    for (const kind of model.get("downloads")) {
      const get = button(`⤓ ${kind.toUpperCase()}`, model.get("titles")[kind]);
      get.onclick = () => model.send({ kind });
      box.append(get);
    }
    model.on("msg:custom", (message, buffers) => save(message.name, message.type, buffers[0]));
    return () => model.off();
  },
};
