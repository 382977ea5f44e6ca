// The controls, and what they move.

class Viewer {
  constructor() {
    this.step = 0;
    this.slot = 0;
    this.timer = null;
    this.timeline = new Timeline(byId("timeline"), this);
    this.memory = new MemoryView(byId("slots"), this);
    this.interface = new InterfaceView(byId("bars"), byId("links"), this);
    this.slotView = new SlotView(this);
    this.views = [this.timeline, this.memory, this.interface, this.slotView];
    this.slider = byId("step");
    this.play = byId("play");
    this.connect();
  }

  connect() {
    this.slider.max = sizes.T - 1;
    this.slider.addEventListener("input", () =>
      this.showStep(Number(this.slider.value)),
    );
    this.play.addEventListener("click", () => this.toggle());
    byId("speed").addEventListener("change", () => this.timer && this.start());
    const choice = byId("example");
    choice.append(
      ...examples.map(({ number }, i) =>
        element("option", { value: i }, String(number)),
      ),
    );
    choice.addEventListener("change", () => this.load(Number(choice.value)));
    byId("darkest").addEventListener("change", (event) => {
      WEIGHTINGS.high = Number(event.target.value);
      this.showAll();
    });
    document.addEventListener("keydown", (event) => this.press(event));
  }

  /** Shows an example, at the step and the slot where the page is. */
  async load(index) {
    const parts = await loadExample(examples[index]);
    // Another may have been chosen meanwhile.
    if (Number(byId("example").value) !== index) {
      return;
    }
    this.parts = parts;
    this.showAll();
    document.body.dataset.example = examples[index].number;
  }

  showAll() {
    this.views.forEach((view) => view.load(this.parts));
    this.showSlot(this.slot);
    this.showStep(this.step);
  }

  showStep(step) {
    this.step = step;
    this.slider.value = step;
    this.slider.setAttribute("aria-valuetext", `step ${step}`);
    byId("step-number").textContent = `step ${step} of 0 to ${sizes.T - 1}`;
    this.showFeatures(step);
    this.views.forEach((view) => view.showStep(step));
  }

  showSlot(slot) {
    this.slot = slot;
    this.timeline.showSlot(slot);
    this.memory.showSlot(slot);
    this.slotView.showSlot(slot);
    this.slotView.showStep(this.step);
  }

  /** The names of input, target and answer. */
  showFeatures(step) {
    const { inputs, targets, answers, mask } = this.parts;
    const rows = [
      ["input", inputs, inputLabels],
      ["target", targets, outputLabels],
      ["answer", answers, outputLabels],
    ].filter(([, part]) => part);
    byId("features").replaceChildren(
      ...rows.map(([title, part, labels]) =>
        element(
          "div",
          {},
          element("dt", {}, title),
          element("dd", { "data-feature": title }, featureText(part, step, labels)),
        ),
      ),
    );
    byId("hidden-step").hidden = !mask || mask.at(step) !== 0;
  }

  press(event) {
    const { key, target } = event;
    const usesKeys = target.matches("input[type=number], select");
    if (usesKeys || event.ctrlKey || event.altKey || event.metaKey) {
      return;
    }
    if (key === " " && !target.matches("button")) {
      event.preventDefault();
      this.toggle();
    }
    const last = sizes.T - 1;
    const step = {
      ArrowLeft: this.step - 1,
      ArrowRight: this.step + 1,
      Home: 0,
      End: last,
    }[key];
    if (step !== undefined) {
      event.preventDefault();
      this.showStep(clamp(step, 0, last));
    }
  }

  toggle() {
    if (this.timer) {
      this.stop();
      return;
    }
    if (this.step === sizes.T - 1) {
      this.showStep(0);
    }
    this.start();
  }

  start() {
    clearInterval(this.timer);
    this.timer = setInterval(() => this.next(), 1000 / Number(byId("speed").value));
    this.showPlaying(true);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.showPlaying(false);
  }

  next() {
    if (this.step < sizes.T - 1) {
      this.showStep(this.step + 1);
    }
    if (this.step === sizes.T - 1) {
      this.stop();
    }
  }

  showPlaying(isPlaying) {
    this.play.textContent = isPlaying ? "Pause" : "Play";
    this.play.setAttribute("aria-pressed", String(isPlaying));
  }
}

function featureText(part, step, labels) {
  return isEmpty(part, step) ? "does not count" : named(part, step, labels) || "–";
}

function showSizes() {
  const { N, W, R, V } = sizes;
  const heads = (count, kind) => `${count} ${kind} ${count === 1 ? "head" : "heads"}`;
  byId("sizes").textContent =
    `${N} slots of ${W}, ${heads(R, "read")}, ${heads(V, "write")}`;
  byId("left-out").replaceChildren(
    ...leftOut.map((sentence) => element("li", {}, sentence)),
  );
}

async function start() {
  showSizes();
  document.querySelector("main").hidden = false;
  await new Viewer().load(0);
}

start().catch((error) => {
  const problem = byId("problem");
  problem.hidden = false;
  problem.textContent =
    `This browser cannot show the trace (${error}). It needs to be of the ` +
    "year 2023 or later.";
  throw error;
});
