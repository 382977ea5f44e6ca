// A slot's numbers at this step, and when it was written and read.

class SlotView {
  constructor(viewer) {
    this.viewer = viewer;
    this.number = byId("slot-number");
    this.number.max = sizes.N - 1;
    this.number.addEventListener("change", () => {
      const slot = Number(this.number.value);
      viewer.showSlot(clamp(Math.round(slot), 0, sizes.N - 1));
    });
    this.threshold = byId("threshold");
    this.threshold.addEventListener("change", () => this.showHistory());
  }

  load(parts) {
    this.parts = parts;
  }

  showSlot(slot) {
    this.slot = slot;
    this.number.value = slot;
    this.rows = slotParts(this.parts, slot);
    this.numbers = this.rows.map(({ part, label }) =>
      element("span", { "data-part": part.name, "data-label": label }),
    );
    byId("slot-now").replaceChildren(
      ...this.rows.map(({ label }, i) =>
        element("div", {}, element("dt", {}, label), element("dd", {}, this.numbers[i])),
      ),
    );
    this.showHistory();
  }

  showStep(step) {
    this.rows.forEach(({ part, row }, i) => {
      this.numbers[i].textContent = shown(part.value(row, step));
    });
  }

  showHistory() {
    const { write_weightings, read_weightings } = this.parts;
    byId("history").replaceChildren(
      ...this.events("written", write_weightings, "write", (step) => this.input(step)),
      ...this.events("read", read_weightings, "read", () => ""),
    );
  }

  /** The steps at which heads had the slot, as buttons that lead there. */
  events(title, weightings, kind, detailOf) {
    const found = this.heldSteps(weightings).map(({ step, head, value }) => {
      const heads = HEADS[kind].length > 1 ? ` by head ${head + 1}` : "";
      const text = `step ${step}${heads}: ${shown(value)}${detailOf(step)}`;
      const button = element("button", { type: "button", "data-step": step }, text);
      button.addEventListener("click", () => this.viewer.showStep(step));
      return button;
    });
    return [
      element("dt", {}, title),
      element("dd", { "data-history": title }, ...(found.length ? found : ["never"])),
    ];
  }

  /** Where weightings are above the threshold, at steps that are not hidden. */
  heldSteps(weightings) {
    const threshold = Number(this.threshold.value);
    const { mask } = this.parts;
    const heads = weightings ? range(weightings.shape[0]) : [];
    return range(sizes.T)
      .filter((step) => !mask || mask.at(step) !== 0)
      .flatMap((step) =>
        heads.map((head) => ({
          step,
          head,
          value: weightings.at(step, head, this.slot),
        })),
      )
      .filter(({ value }) => value > threshold);
  }

  input(step) {
    const name = named(this.parts.inputs, step, inputLabels, 2);
    return name ? `, input ${name}` : "";
  }
}
