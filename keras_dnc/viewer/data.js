// The numbers that the page holds, and how they read.

const { sizes, inputLabels, outputLabels, examples, leftOut } = JSON.parse(
  byId("description").textContent,
);

const HEADS = { read: range(sizes.R), write: range(sizes.V) };

/** A part of the trace: numbers in rows, each a row over time. */
class Part {
  constructor({ name, shape, type, start }, buffer) {
    this.name = name;
    this.rows = shape.reduce((product, size) => product * size, 1);
    const count = this.rows * sizes.T;
    const isLink = type === "uint16";
    this.values = isLink
      ? new Uint16Array(buffer, start, count)
      : new Float32Array(buffer, start, count);
    this.divisor = isLink ? 1000 : 1;
    this.shape = shape;
  }

  /** The number at a step, of the row that the indices lead to. */
  at(step, ...indices) {
    return this.value(this.row(...indices), step);
  }

  value(row, step) {
    return this.values[row * sizes.T + step] / this.divisor;
  }

  row(...indices) {
    return indices.reduce((row, index, axis) => row * this.shape[axis] + index, 0);
  }

  /** The least and the greatest finite number, at all steps. */
  get extent() {
    if (!this.foundExtent) {
      let [low, high] = [Infinity, -Infinity];
      for (const value of this.values) {
        if (Number.isFinite(value)) {
          low = Math.min(low, value);
          high = Math.max(high, value);
        }
      }
      this.foundExtent = [low / this.divisor, high / this.divisor];
    }
    return this.foundExtent;
  }
}

/** The parts of an example by their names. */
async function loadExample({ number, parts }) {
  const buffer = await inflated(byId(`example-${number}`).textContent);
  return Object.fromEntries(
    parts.map((part) => [part.name, new Part(part, buffer)]),
  );
}

async function inflated(base64) {
  const characters = atob(base64);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = characters.charCodeAt(i);
  }
  const stream = new Blob([bytes])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

/** A number with three decimals, or with four digits where it is large. */
function shown(value) {
  if (Number.isNaN(value)) {
    return "not a number";
  }
  if (!Number.isFinite(value)) {
    return value > 0 ? "∞" : "−∞";
  }
  const size = Math.abs(value);
  const text = size < 1e4 ? size.toFixed(3) : size.toExponential(3);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/** The features of at least half the size of the largest, which is first. */
function named(part, step, labels, most = 4) {
  const all = range(part.rows)
    .map((row) => ({ label: labels[row], value: part.value(row, step) }))
    .filter(({ value }) => value)
    .sort((one, other) => Math.abs(other.value) - Math.abs(one.value));
  const features = all.filter(
    ({ value }) => Math.abs(value) >= Math.abs(all[0].value) / 2,
  );
  const names = features
    .slice(0, most)
    .map(({ label, value }) =>
      value === 1 ? label : `${label} (${shown(value)})`,
    );
  const more = features.length - names.length;
  return names.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function isEmpty(part, step) {
  return range(part.rows).every((row) => Number.isNaN(part.value(row, step)));
}
