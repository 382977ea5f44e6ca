// Scales of color that every eye can read, and that stay readable in print.

const MISSING = [208, 208, 208];

// From white to dark blue, and from orange over white to blue; both after
// ColorBrewer (Blues, PuOr with a darker blue), safe for color-blind eyes.
const BLUES = [
  [255, 255, 255],
  [222, 235, 247],
  [158, 202, 225],
  [66, 146, 198],
  [8, 81, 156],
  [8, 48, 107],
];
const ORANGE_TO_BLUE = [
  [127, 59, 8],
  [224, 130, 20],
  [253, 205, 143],
  [255, 255, 255],
  [158, 202, 225],
  [33, 113, 181],
  [8, 48, 107],
];
const SHADES = 256;

/** A color for each number from `low` to `high`; beyond, that of the end. */
class Scale {
  constructor(low, high, stops) {
    this.low = low;
    this.high = high;
    this.stops = stops;
    this.shades = shadesOf(stops);
    this.middle = low < 0 ? 0 : low;
  }

  /** The color as the number that a pixel holds. */
  pixel(value) {
    if (Number.isNaN(value)) {
      return MISSING_PIXEL;
    }
    const share = (value - this.low) / (this.high - this.low);
    return this.shades[Math.round(clamp(share, 0, 1) * (SHADES - 1))];
  }

  /** How far a number is from what is drawn white. */
  strength(value) {
    return Number.isNaN(value) ? -1 : Math.abs(value - this.middle);
  }

  get orMore() {
    return this.low === 0 && this.high < 1 ? " or more" : "";
  }

  get text() {
    return this.low < 0
      ? `±${shown(this.high)}`
      : `${this.low} to ${this.high}${this.orMore}`;
  }

  get gradient() {
    return `linear-gradient(to right, ${this.stops
      .map((color) => `rgb(${color.join(" ")})`)
      .join(", ")})`;
  }
}

function pixelOf([red, green, blue]) {
  return new Uint32Array(new Uint8Array([red, green, blue, 255]).buffer)[0];
}

const MISSING_PIXEL = pixelOf(MISSING);

function shadesOf(stops) {
  return Uint32Array.from(range(SHADES), (shade) => {
    const place = (shade / (SHADES - 1)) * (stops.length - 1);
    const before = Math.min(Math.floor(place), stops.length - 2);
    const share = place - before;
    return pixelOf(
      stops[before].map(
        (color, i) => color + share * (stops[before + 1][i] - color),
      ),
    );
  });
}

const FRACTIONS = new Scale(0, 1, BLUES);
// Of usage, weightings and links; the reader chooses where it ends.
const WEIGHTINGS = new Scale(0, 1, BLUES);

/** From 0 to 1 where all numbers are; else as far below 0 as above. */
function scaleOf(...parts) {
  const low = Math.min(...parts.map((part) => part.extent[0]));
  const high = Math.max(...parts.map((part) => part.extent[1]));
  // Nothing finite has the extent from ∞ to −∞.
  if (low >= 0 && high <= 1) {
    return FRACTIONS;
  }
  const size = Math.max(-low, high);
  return new Scale(-size, size, ORANGE_TO_BLUE);
}
