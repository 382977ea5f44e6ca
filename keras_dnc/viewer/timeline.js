// What happens over the whole time, and where the present step is in it.

const TIME_WIDTH = 296;
const ROW_HEIGHT = 10;
const LEAST_ROW_TO_NAME = 10;

/** Panels under each other on one axis of time. */
class Timeline {
  constructor(container, viewer) {
    this.container = container;
    this.viewer = viewer;
    this.cursor = element("div", { class: "cursor" });
    this.followPointer();
  }

  load(parts) {
    this.parts = parts;
    this.panels = element("div", { class: "panels" });
    this.slotMarks = [];
    this.addFeatures("input", parts.inputs, inputLabels);
    this.addFeatures("target", parts.targets, outputLabels);
    this.addFeatures("answer", parts.answers, outputLabels);
    this.addWeightings("write", parts.write_weightings, HEADS.write);
    this.addWeightings("read", parts.read_weightings, HEADS.read);
    this.addGates();
    this.addSlot();
    this.panels.append(timeAxis(), ...hiddenSteps(parts.mask), this.cursor);
    this.container.replaceChildren(this.panels);
  }

  addFeatures(title, part, labels) {
    if (part) {
      const rows = labels.map((label, row) => ({ part, row, label }));
      this.add(title, rows, scaleOf(part));
    }
  }

  addWeightings(kind, part, heads) {
    // All of them together have the height of some forty rows.
    const most = clamp(420 / (sizes.V + sizes.R), 40, 110);
    for (const head of part ? heads : []) {
      const rows = range(sizes.N).map((slot) => ({
        part,
        row: part.row(head, slot),
        label: `slot ${slot}`,
      }));
      const title = `${kind} weighting ${head + 1}`;
      const panel = this.add(title, rows, WEIGHTINGS, most);
      this.watchSlots(panel);
    }
  }

  addGates() {
    const rows = GATES.flatMap(({ name, title }) =>
      rowsOf(this.parts[name], title),
    );
    if (rows.length) {
      this.add("gates", rows, FRACTIONS);
    }
  }

  /** The panel of the chosen slot, whose rows change with it. */
  addSlot() {
    const rows = slotParts(this.parts);
    this.slotPanel = this.add("slot", rows, WEIGHTINGS, 160);
  }

  add(title, rows, scale, most = 80) {
    const height = clamp(rows.length * ROW_HEIGHT, 2 * ROW_HEIGHT, most);
    const map = new HeatMap(
      `${title} over time`,
      rows.length,
      sizes.T,
      TIME_WIDTH,
      height,
    );
    const draw = () =>
      map.draw((row, step) => rows[row].part.value(rows[row].row, step), () => scale);
    map.explain((row, step) => {
      const { part, row: found, label } = rows[row];
      const value = shown(part.value(found, step));
      return `${heading.textContent}, ${label}, step ${step}: ${value}`;
    });
    const heading = element("h3", {}, title);
    const place = element("div", { class: "place" }, map.canvas);
    const colors = element("small", {}, scale.text);
    const names = rowNames(rows, height);
    this.panels.append(
      element(
        "div",
        { class: "panel" },
        element("div", {}, heading, colors),
        place,
        names,
      ),
    );
    draw();
    return { map, rows, draw, heading, place, height };
  }

  watchSlots({ map, place, height }) {
    map.canvas.addEventListener("pointermove", (event) => {
      if (!event.buttons) {
        this.viewer.showSlot(map.cell(event)[0]);
      }
    });
    const mark = element("div", { class: "slot-mark" });
    place.append(mark);
    this.slotMarks.push({ mark, height });
  }

  showStep(step) {
    const width = TIME_WIDTH / sizes.T;
    this.cursor.style.width = `${Math.max(width, 2)}px`;
    this.cursor.style.transform = `translateX(${step * width}px)`;
  }

  showSlot(slot) {
    for (const { mark, height } of this.slotMarks) {
      placeMark(mark, slot, height);
    }
    this.slotPanel.heading.textContent = `slot ${slot}`;
    slotParts(this.parts, slot).forEach((found, i) => {
      this.slotPanel.rows[i] = found;
    });
    this.slotPanel.draw();
  }

  /** Goes to the step under the pointer while it is pressed. */
  followPointer() {
    const go = (event) => {
      const box = this.panels.querySelector("canvas").getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      const step = Math.floor(share * sizes.T);
      this.viewer.showStep(clamp(step, 0, sizes.T - 1));
    };
    this.container.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && event.target.closest(".place, .axis")) {
        event.preventDefault();
        this.container.setPointerCapture(event.pointerId);
        go(event);
      }
    });
    this.container.addEventListener("pointermove", (event) => {
      if (this.container.hasPointerCapture(event.pointerId)) {
        go(event);
      }
    });
  }
}

/** Rows for each head of a part of shape `(heads, time)`. */
function rowsOf(part, title) {
  return part
    ? range(part.rows).map((row) => ({ part, row, label: `${title} ${row + 1}` }))
    : [];
}

/** Outlines a slot in a map of all slots. */
function placeMark(mark, slot, height) {
  const row = height / sizes.N;
  mark.style.height = `${Math.max(row, 3)}px`;
  mark.style.transform = `translateY(${row * slot}px)`;
}

/** The names of rows, or of the first and the last where they are many. */
function rowNames(rows, height) {
  const isRoomy = height / rows.length >= LEAST_ROW_TO_NAME;
  const named = isRoomy ? rows : [rows[0], rows.at(-1)];
  const names = element(
    "ol",
    { class: "names" },
    ...named.map(({ label }) => element("li", { title: label }, label)),
  );
  names.style.height = `${height}px`;
  names.classList.toggle("ends", !isRoomy);
  return names;
}

function timeAxis() {
  const steps = tickSteps();
  const ticks = range(Math.ceil(sizes.T / steps)).map((i) => {
    const tick = element("span", {}, String(i * steps));
    tick.style.left = `${((i * steps + 0.5) / sizes.T) * TIME_WIDTH}px`;
    return tick;
  });
  return element(
    "div",
    { class: "panel" },
    element("h3", {}, "time step"),
    element("div", { class: "axis" }, ...ticks),
  );
}

/** The least round distance that leaves each number some room. */
function tickSteps() {
  const least = (sizes.T * 26) / TIME_WIDTH;
  let power = 1;
  while (power * 5 < least) {
    power *= 10;
  }
  return [1, 2, 5].map((i) => i * power).find((steps) => steps >= least);
}

/** A veil over each run of steps that the mask hides. */
function hiddenSteps(mask) {
  const veils = [];
  for (let step = 0; step < sizes.T; step++) {
    const start = step;
    while (step < sizes.T && mask && mask.at(step) === 0) {
      step++;
    }
    if (step > start) {
      const veil = element("div", { class: "veil" });
      veil.style.left = `calc(var(--gutter) + ${(start / sizes.T) * TIME_WIDTH}px)`;
      veil.style.width = `${((step - start) / sizes.T) * TIME_WIDTH}px`;
      veils.push(veil);
    }
  }
  return veils;
}
