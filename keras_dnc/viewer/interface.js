// Gates, read modes, strengths and links at a step.

const GATES = [
  { name: "free_gates", title: "free" },
  { name: "allocation_gates", title: "allocation" },
  { name: "write_gates", title: "write" },
];
const STRENGTHS = [
  { name: "read_strengths", title: "read key" },
  { name: "write_strengths", title: "write key" },
];
const SHARPNESS = [
  { name: "backward_sharpness", title: "backward" },
  { name: "forward_sharpness", title: "forward" },
];
const LINK_WIDTH = 236;

/** The names of the read modes, in their order. */
function modeNames() {
  const ofHeads = (way) =>
    sizes.V === 1 ? [way] : HEADS.write.map((head) => `${way} ${head + 1}`);
  return [...ofHeads("backward"), "content", ...ofHeads("forward")];
}

class InterfaceView {
  constructor(bars, links, viewer) {
    this.bars = bars;
    this.links = links;
    this.viewer = viewer;
  }

  load(parts) {
    this.parts = parts;
    this.values = [];
    this.bars.replaceChildren(
      ...this.group("Gates", GATES, () => 1),
      ...this.modes(),
      ...this.group("Key strengths", STRENGTHS, largest),
      ...this.group("Sharpness", SHARPNESS, largest),
    );
    this.makeLinks();
  }

  /** Bars with numbers, as long as the share of the most that there is. */
  group(title, kinds, mostOf) {
    const rows = kinds.flatMap(({ name, title: kind }) =>
      headRows(this.parts[name], kind).map((row) => ({ name, ...row })),
    );
    if (!rows.length) {
      return [];
    }
    const most = mostOf(rows.map(({ part }) => part));
    const longest = most === 1 ? "" : `bars up to ${shown(most)}`;
    return [
      element("h3", {}, title, " ", element("small", {}, longest)),
      element("div", { class: "bars" }, ...rows.flatMap((row) => this.bar(row, most))),
    ];
  }

  bar({ name, part, row, label }, most) {
    const fill = element("span", { class: "fill" });
    const number = numberOf(name, row);
    this.values.push((step) => {
      const value = part.value(row, step);
      number.textContent = shown(value);
      fill.style.width = percent(value / most);
    });
    return [
      element("span", {}, label),
      element("span", { class: "bar", "aria-hidden": "true" }, fill),
      number,
    ];
  }

  modes() {
    const part = this.parts.read_modes;
    if (!part) {
      return [];
    }
    return [
      element("h3", {}, "Read modes"),
      ...HEADS.read.flatMap((head) => this.modesOf(part, head)),
    ];
  }

  modesOf(part, head) {
    const stack = element("div", { class: "stack", "aria-hidden": "true" });
    const numbers = element("div", { class: "mode-numbers" });
    modeNames().forEach((name, mode) => {
      const kind = name.split(" ")[0];
      const segment = element("span", { class: kind });
      const row = part.row(head, mode);
      const number = numberOf("read_modes", row);
      stack.append(segment);
      numbers.append(
        element("span", {}, element("i", { class: kind }), `${name} `, number),
      );
      this.values.push((step) => {
        const value = part.value(row, step);
        number.textContent = shown(value);
        segment.style.width = percent(value);
      });
    });
    return [element("h4", {}, `read head ${head + 1}`), stack, numbers];
  }

  makeLinks() {
    const { link } = this.parts;
    this.linkMaps = (link ? HEADS.write : []).map((head) => {
      const size = cellSize(LINK_WIDTH, sizes.N, 18) * sizes.N;
      const title = `Links of write head ${head + 1}`;
      const map = new HeatMap(title, sizes.N, sizes.N, size, size);
      map.explain((i, j) => {
        const value = shown(link.at(this.viewer.step, head, i, j));
        return `slot ${i} was written after slot ${j}: ${value}`;
      });
      return { map, head, title };
    });
    this.links.replaceChildren(
      ...this.linkMaps.flatMap(({ map, title }) => [
        element("h3", {}, title, " ", element("small", {}, "row after column")),
        element("div", { class: "place" }, map.canvas),
      ]),
    );
  }

  showStep(step) {
    this.values.forEach((show) => show(step));
    const { link } = this.parts;
    for (const { map, head } of this.linkMaps) {
      const first = head * sizes.N;
      map.draw(
        (i, j) => link.value((first + i) * sizes.N + j, step),
        () => WEIGHTINGS,
      );
    }
  }
}

/** Rows of a part of shape `(heads, time)` or `(write, read heads, time)`. */
function headRows(part, title) {
  if (!part || part.shape.length === 1) {
    return rowsOf(part, title);
  }
  return HEADS.write.flatMap((write) =>
    HEADS.read.map((read) => ({
      part,
      row: part.row(write, read),
      label: `${title} ${write + 1}, read ${read + 1}`,
    })),
  );
}

function largest(parts) {
  return Math.max(1, ...parts.map((part) => part.extent[1]));
}

function numberOf(name, row) {
  // No output element: a reader would speak of each at each step.
  return element("span", { class: "number", "data-part": name, "data-row": row });
}

function percent(share) {
  return `${100 * clamp(Number.isNaN(share) ? 0 : share, 0, 1)}%`;
}
