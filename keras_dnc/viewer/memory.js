// The memory at a step, beside it how each slot is used, under it the vectors
// of the interface on the same columns.

const MEMORY_WIDTH = 264;
const MEMORY_HEIGHT = 330;
const COLUMNS_WIDTH = 160;
const VECTOR_HEIGHT = 10;

/** What each slot has one number of: name, title, whether of each head. */
const OF_SLOTS = [
  { name: "usage", title: "usage" },
  { name: "allocation_weightings", title: "allocation" },
  { name: "write_weightings", title: "write" },
  { name: "precedence", title: "precedence" },
  { name: "read_weightings", title: "read" },
];

/** The rows of the parts that belong to a slot. */
function slotParts(parts, slot = 0) {
  return OF_SLOTS.filter(({ name }) => parts[name]).flatMap(({ name, title }) => {
    const part = parts[name];
    if (part.shape.length === 1) {
      return [{ part, row: slot, label: title }];
    }
    return range(part.shape[0]).map((head) => ({
      part,
      row: part.row(head, slot),
      label: `${title} ${head + 1}`,
    }));
  });
}

/** What is as wide as a slot. */
const VECTORS = [
  { name: "write_keys", title: "write key" },
  { name: "write_masks", title: "write mask" },
  { name: "erase_vectors", title: "erase vector" },
  { name: "write_vectors", title: "write vector", isMemory: true },
  { name: "read_keys", title: "read key" },
  { name: "read_masks", title: "read mask" },
  { name: "reads", title: "read vector", isMemory: true },
];

/** The width of a column or the height of a row, in whole pixels if it can. */
function cellSize(room, count, most = 22) {
  return count > room ? room / count : Math.min(Math.floor(room / count), most);
}

class MemoryView {
  constructor(container, viewer) {
    this.container = container;
    this.viewer = viewer;
    // The arrows move the outline while the memory has the focus.
    container.addEventListener("keydown", (event) => {
      const way = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (way) {
        event.preventDefault();
        viewer.showSlot(clamp(viewer.slot + way, 0, sizes.N - 1));
      }
    });
  }

  load(parts) {
    this.parts = parts;
    this.scale = scaleOf(parts.memory);
    this.height = cellSize(MEMORY_HEIGHT, sizes.N) * sizes.N;
    this.width = cellSize(MEMORY_WIDTH, sizes.W) * sizes.W;
    this.makeMemory();
    this.makeColumns();
    this.makeVectors();
    this.marks = range(2).map(() => element("div", { class: "slot-mark" }));
    const grid = element(
      "div",
      { class: "memory-grid" },
      element("div", { class: "caption" }, "slots by elements of a word"),
      this.columnTitles,
      this.slotNumbers(),
      element("div", { class: "place" }, this.memory.canvas, this.marks[0]),
      element("div", { class: "place" }, this.columns.canvas, this.marks[1]),
      ...this.vectorRows,
    );
    this.container.replaceChildren(grid);
    byId("scales").replaceChildren(
      legend("memory, write and read vectors", this.scale),
      legend("usage, weightings, links", WEIGHTINGS),
    );
  }

  makeMemory() {
    const { memory } = this.parts;
    this.memory = new HeatMap("memory", sizes.N, sizes.W, this.width, this.height);
    this.memory.explain((slot, element) => {
      const value = memory.at(this.viewer.step, slot, element);
      return `memory, slot ${slot}, element ${element}: ${shown(value)}`;
    });
    this.watchSlots(this.memory);
  }

  makeColumns() {
    this.ofSlots = slotParts(this.parts);
    const width = cellSize(COLUMNS_WIDTH, this.ofSlots.length);
    this.columns = new HeatMap(
      "usage and weightings of each slot",
      sizes.N,
      this.ofSlots.length,
      width * this.ofSlots.length,
      this.height,
    );
    this.columns.explain((slot, column) => {
      const { part, row, label } = this.ofSlots[column];
      const value = part.value(row + slot, this.viewer.step);
      return `${label}, slot ${slot}: ${shown(value)}`;
    });
    this.watchSlots(this.columns);
    this.columnTitles = element("ol", { class: "column-titles" });
    for (const { label } of this.ofSlots) {
      const title = element("li", {}, element("span", {}, label));
      title.style.width = `${width}px`;
      this.columnTitles.append(title);
    }
  }

  watchSlots(map) {
    const choose = (event) => this.viewer.showSlot(map.cell(event)[0]);
    map.canvas.addEventListener("pointermove", choose);
    map.canvas.addEventListener("pointerdown", choose);
  }

  slotNumbers() {
    const rows = range(sizes.N).map((slot) => ({ label: String(slot) }));
    return rowNames(rows, this.height);
  }

  makeVectors() {
    this.vectors = VECTORS.filter(({ name }) => this.parts[name]).flatMap(
      ({ name, title, isMemory }) => this.vectorMaps(this.parts[name], title, isMemory),
    );
    this.vectorRows = this.vectors.flatMap(({ map, label, scale }) => [
      element("div", { class: "place vector" }, map.canvas),
      element("div", { class: "vector-name" }, label, element("small", {}, scale.text)),
    ]);
  }

  vectorMaps(part, title, isMemory) {
    const scale = isMemory ? this.scale : scaleOf(part);
    return range(part.shape[0]).map((head) => {
      const label = `${title} ${head + 1}`;
      const map = new HeatMap(label, 1, sizes.W, this.width, VECTOR_HEIGHT);
      map.explain((_, i) => {
        const value = part.at(this.viewer.step, head, i);
        return `${label}, element ${i}: ${shown(value)}`;
      });
      return { map, label, scale, part, head };
    });
  }

  showStep(step) {
    const { memory } = this.parts;
    this.memory.draw(
      (slot, i) => memory.value(slot * sizes.W + i, step),
      () => this.scale,
    );
    this.columns.draw(
      (slot, column) => {
        const { part, row } = this.ofSlots[column];
        return part.value(row + slot, step);
      },
      () => WEIGHTINGS,
    );
    for (const { map, part, head, scale } of this.vectors) {
      map.draw((_, i) => part.at(step, head, i), () => scale);
    }
  }

  showSlot(slot) {
    this.marks.forEach((mark) => placeMark(mark, slot, this.height));
  }
}

function legend(title, scale) {
  const bar = element("span", { class: "legend-bar", "aria-hidden": "true" });
  bar.style.background = scale.gradient;
  return element(
    "p",
    { class: "legend" },
    `${title}: `,
    shown(scale.low),
    bar,
    shown(scale.high) + scale.orMore,
  );
}
