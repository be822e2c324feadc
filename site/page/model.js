// What the explorer's modules expect of a widget's model, without a kernel: values by name, and who listens to them.

export class Model {
  /** values: by name. onSend: called with what a module sends to the kernel. */
  constructor(values, onSend = () => {}) {
    this.values = values;
    this.send = onSend;
    this.listeners = [];
  }

  get(name) {
    return this.values[name];
  }

  set(name, value) {
    this.assign({ [name]: value });
  }

  /** Set several values, then tell the listeners. */
  assign(values) {
    const changed = Object.keys(values).filter((name) => this.values[name] !== values[name]);
    Object.assign(this.values, values);
    for (const name of changed) this.emit(`change:${name}`);
    if (changed.length) this.emit("change");
  }

  /** events: names with spaces between them. */
  on(events, listener) {
    for (const event of events.split(" ")) this.listeners.push([event, listener]);
  }

  emit(event) {
    for (const [one, listener] of this.listeners) if (one === event) listener();
  }

  save_changes() {}

  off() {
    this.listeners = [];
  }
}
